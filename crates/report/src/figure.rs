//! Figures for papers and pages: a chart becomes a [`scene::Scene`] of a few shapes, which is written as SVG or PNG.
//!
//! A chart states what it draws and which meaning each colour has ([`theme::Paint`]); a [`Theme`] turns meanings into
//! colours when the file is written. The same input gives the same bytes.

pub mod axis;
pub mod coverage;
pub mod font;
pub mod front;
pub mod growth;
mod kind;
pub mod lengths;
pub mod network;
#[cfg(feature = "pictures")]
mod raster;
pub mod scene;
pub mod support;
pub mod svg;
pub mod theme;
pub mod treemap;

pub use scene::Scene;
pub use theme::Theme;

/// The file formats of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Picture {
    /// Scalable vector graphics.
    Svg,
    /// Pixels, two per unit of the scene where they are not too many.
    Png,
}

impl Picture {
    /// Returns the format that the ending of `file` says.
    pub fn of(file: &str) -> Option<Self> {
        match std::path::Path::new(file).extension()?.to_str()?.to_lowercase().as_str() {
            "svg" => Some(Self::Svg),
            "png" => Some(Self::Png),
            _ => None,
        }
    }
}

/// Returns the bytes of the file that shows `scene`.
///
/// # Errors
/// For PNG: if the scene is too large for pixels, or the program was built without the feature `pictures`.
pub fn draw(scene: &Scene, theme: Theme, picture: Picture) -> Result<Vec<u8>, String> {
    match picture {
        Picture::Svg => Ok(svg::write(scene, theme).into_bytes()),
        #[cfg(feature = "pictures")]
        Picture::Png => raster::write(scene, theme),
        #[cfg(not(feature = "pictures"))]
        Picture::Png => Err("this build draws SVG only".into()),
    }
}
