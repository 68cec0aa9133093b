//! Pictures as network inputs.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::{DynamicImage, ImageReader};

use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::shape::Shape;
use cnnkit_exec::tensor::Tensor;

/// The normalisation of pixel values after they are scaled to 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum Normalize {
    /// No normalisation
    #[default]
    None,
    /// Subtract the mean of ImageNet's pixels and divide by their standard deviation, as torchvision's networks expect
    Imagenet,
}

/// torchvision, `transforms/_presets.py`: red, green, blue.
const IMAGENET: [(f32, f32); 3] = [(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)];

/// Maximum number of pixels: 12 bytes each while they are scaled.
const MAX_PIXELS: u64 = 1 << 26;

/// Quality of JPEG at which nobody sees the difference below a grid.
const JPEG_QUALITY: u8 = 85;

fn failure(path: &str, error: impl std::fmt::Display) -> Problem {
    Problem::new(Code::Io, format!("cannot read `{path}`: {error}"))
}

/// Weights of red, green and blue in grey: ITU-R BT.601, as in Pillow.
const GREY: [f32; 3] = [0.299, 0.587, 0.114];

/// Reads a PNG or JPEG file as one image of `shape`: `[3, H, W]` in red, green and blue or `[1, H, W]` in
/// grey, resized bilinearly (with antialiasing where it shrinks), values from 0 to 1.
pub fn read(path: &str, shape: &Shape, normalize: Normalize) -> Result<Tensor<f32>, Problem> {
    let &[channels @ (1 | 3), height, width] = shape.sizes() else {
        let message = format!("the picture `{path}` does not fit the input {shape}");
        return Err(
            Problem::shape(message).help("pictures are for inputs [3, H, W] or [1, H, W]; give a .npy file")
        );
    };
    if normalize == Normalize::Imagenet && channels == 1 {
        return Err(Problem::shape(format!("`imagenet` normalises three channels, the input is {shape}"))
            .help("leave `--normalize` out"));
    }
    let size = |size: u64| u32::try_from(size).map_err(|_| Problem::overflow("the size of the picture"));
    let (height, width) = (size(height)?, size(width)?);
    let picture = decoded(path)?;
    // Semi-transparent pixels keep their colour: their background is unknown.
    let picture = DynamicImage::ImageRgb32F(picture.to_rgb32f());
    let values = picture.resize_exact(width, height, FilterType::Triangle).to_rgb32f().into_raw();
    let plane = height as usize * width as usize;
    let channels = usize::try_from(channels).unwrap_or(3);
    Ok(Tensor::from_fn(&[1, channels, height as usize, width as usize], |flat| {
        let (channel, place) = (flat / plane, flat % plane);
        let value = match (channels, &values[3 * place..3 * place + 3]) {
            (1, &[red, green, blue]) => GREY[0] * red + GREY[1] * green + GREY[2] * blue,
            (_, pixel) => pixel[channel],
        };
        match normalize {
            Normalize::None => value,
            Normalize::Imagenet => (value - IMAGENET[channel].0) / IMAGENET[channel].1,
        }
    }))
}

/// Decodes a PNG or JPEG file of a bounded number of pixels.
fn decoded(path: &str) -> Result<DynamicImage, Problem> {
    let (file, _) = cnnkit_files::open(Path::new(path)).map_err(|error| failure(path, error))?;
    let guess = |file: File| ImageReader::new(BufReader::new(file)).with_guessed_format();
    let reader = guess(file);
    // A few bytes may stand for any number of pixels: their number is read before they are.
    if let Ok((width, height)) = reader
        .map_err(|error| failure(path, error))
        .and_then(|reader| reader.into_dimensions().map_err(|error| failure(path, error)))
        && u64::from(width) * u64::from(height) > MAX_PIXELS
    {
        let message = format!("`{path}` has {width} x {height} pixels, the limit is {MAX_PIXELS} in all");
        return Err(Problem::new(Code::Limit, message).help("make the picture smaller"));
    }
    let (file, _) = cnnkit_files::open(Path::new(path)).map_err(|error| failure(path, error))?;
    let picture = guess(file).map_err(|error| failure(path, error))?;
    picture.decode().map_err(|error| {
        failure(path, error).help("a PNG or JPEG file; anything else as a .npy file of [C, H, W]")
    })
}

/// Reads a PNG or JPEG file as a JPEG file whose sides have at most `longest` pixels.
pub fn small_jpeg(path: &str, longest: u32) -> Result<Vec<u8>, Problem> {
    let picture = decoded(path)?;
    let fits = picture.width().max(picture.height()) <= longest;
    let picture = if fits { picture } else { picture.resize(longest, longest, FilterType::Triangle) };
    let mut bytes = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY);
    picture.to_rgb8().write_with_encoder(encoder).map_err(|error| failure(path, error))?;
    Ok(bytes)
}
