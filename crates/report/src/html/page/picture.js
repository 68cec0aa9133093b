// The picture below the input grid: the user's, or a drawn one, so that one sees what a field covers.

/** Draws a picture of `width` x `height` positions. @param {number} width @param {number} height @param {HTMLImageElement | null} image @returns {HTMLCanvasElement} */
export function picture(width, height, image) {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext('2d');
  if (!context) return canvas;
  if (image) {
    // As `run` does: the whole picture, scaled to the input.
    context.drawImage(image, 0, 0, width, height);
    return canvas;
  }
  if (height === 1) wave(context, width);
  else scene(context, width, height);
  return canvas;
}

/** A cat before a window. @param {CanvasRenderingContext2D} context @param {number} width @param {number} height */
function scene(context, width, height) {
  context.save();
  context.scale(width / 100, height / 100);
  const sky = context.createLinearGradient(0, 0, 0, 100);
  sky.addColorStop(0, '#9fb8c8');
  sky.addColorStop(0.62, '#d9d2c1');
  sky.addColorStop(1, '#b8a892');
  context.fillStyle = sky;
  context.fillRect(0, 0, 100, 100);
  context.fillStyle = '#f0e6cf';
  disc(context, 80, 18, 9, 9);
  context.fillStyle = '#7d8f86';
  shape(context, [[0, 66], [18, 46], [34, 60], [56, 40], [78, 58], [100, 48], [100, 100], [0, 100]]);
  context.fillStyle = '#6b6259';
  context.fillRect(0, 80, 100, 20);
  context.fillStyle = '#8a7f73';
  context.fillRect(0, 80, 100, 2);
  context.fillStyle = '#3b3a40';
  disc(context, 48, 74, 22, 20);
  disc(context, 48, 44, 17, 15);
  shape(context, [[33, 40], [32, 20], [46, 31]]);
  shape(context, [[63, 40], [64, 20], [50, 31]]);
  context.lineWidth = 6;
  context.lineCap = 'round';
  context.strokeStyle = '#3b3a40';
  context.beginPath();
  context.moveTo(67, 84);
  context.quadraticCurveTo(92, 88, 84, 64);
  context.stroke();
  context.fillStyle = '#e8c15a';
  disc(context, 41, 42, 3.6, 4.2);
  disc(context, 55, 42, 3.6, 4.2);
  context.fillStyle = '#17171a';
  disc(context, 41, 42, 1.2, 3.6);
  disc(context, 55, 42, 1.2, 3.6);
  context.fillStyle = '#d99a9a';
  shape(context, [[46, 49], [50, 49], [48, 52]]);
  context.strokeStyle = '#d8d4cc';
  context.lineWidth = 0.6;
  for (const [x, y] of [[24, 48], [24, 52], [25, 56]]) {
    line(context, 42, 51, x, y);
    line(context, 54, 51, 96 - x, y);
  }
  context.fillStyle = '#5b5a61';
  disc(context, 48, 80, 9, 12);
  context.restore();
}

/** @param {CanvasRenderingContext2D} context @param {number} width */
function wave(context, width) {
  for (let x = 0; x < width; x += 1) {
    const t = x / width;
    const value = 0.5 + 0.3 * Math.sin(38 * t) * Math.sin(5 * t) + 0.15 * Math.sin(141 * t);
    const shade = Math.round(70 + 150 * value);
    context.fillStyle = `rgb(${shade} ${shade} ${Math.min(255, shade + 10)})`;
    context.fillRect(x, 0, 1, 1);
  }
}

/** @param {CanvasRenderingContext2D} context @param {number} x @param {number} y @param {number} a @param {number} b */
function disc(context, x, y, a, b) {
  context.beginPath();
  context.ellipse(x, y, a, b, 0, 0, 2 * Math.PI);
  context.fill();
}

/** @param {CanvasRenderingContext2D} context @param {number[][]} points */
function shape(context, points) {
  context.beginPath();
  points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.closePath();
  context.fill();
}

/** @param {CanvasRenderingContext2D} context @param {number} x1 @param {number} y1 @param {number} x2 @param {number} y2 */
function line(context, x1, y1, x2, y2) {
  context.beginPath();
  context.moveTo(x1, y1);
  context.lineTo(x2, y2);
  context.stroke();
}
