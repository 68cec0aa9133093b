//! Figures: `--plot FILE` beside the report, `-o FILE.svg` instead of it.

use clap::Args;

use crate::cli::{Failure, output};
use cnnkit_report::figure::{self, Picture, Scene, Theme};

/// Where a figure goes, and its colours.
#[derive(Debug, Args)]
pub struct Plot {
    /// Draw the figure of the report into FILE.svg or FILE.png; `-o FILE.svg` draws it instead of the report
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub plot: Option<String>,
    /// Colours of the figure
    #[arg(long, value_enum, default_value_t, value_name = "THEME", help_heading = "Output")]
    theme: Theme,
}

impl Plot {
    /// Returns whether a figure is asked for, of `count` networks. Called first, so that nothing is computed for a
    /// figure that cannot be drawn.
    pub fn asked(&self, count: usize) -> Result<bool, Failure> {
        let Some(file) = &self.plot else { return Ok(false) };
        Self::picture(file)?;
        match count {
            0 | 1 => Ok(true),
            _ => Err(Failure::usage(
                format!("a figure shows one network, not {count}"),
                "draw each into a file of its own",
            )),
        }
    }

    fn picture(file: &str) -> Result<Picture, Failure> {
        Picture::of(file).ok_or_else(|| {
            Failure::usage(
                format!("--plot cannot tell the format of `{file}`"),
                "name the file with the ending .svg or .png",
            )
        })
    }

    /// Draws `scene` into the file that was asked for.
    pub fn save(&self, scene: &Scene) -> Result<(), Failure> {
        let Some(file) = &self.plot else { return Ok(()) };
        let bytes = figure::draw(scene, self.theme, Self::picture(file)?).map_err(|error| {
            Failure::usage(format!("cannot draw `{file}`: {error}"), "try the ending .svg")
        })?;
        output::save(file, &bytes)
    }
}
