//! What colours mean in a figure, and the colours that a theme gives them.
//!
//! Series have the colours of Okabe & Ito (2008), which people with any colour vision tell apart; heat goes from light to
//! dark (or back on a dark page), so that it prints in grey. No meaning is carried by colour alone.

use anstyle::RgbColor;

/// The colours of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum Theme {
    /// Dark on white, for a page
    #[default]
    Light,
    /// Light on black, for a dark page
    Dark,
    /// Greys without a background, for a paper
    Print,
}

/// What a colour means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Paint {
    /// The page.
    Paper,
    /// Words and important lines.
    Ink,
    /// Words of less importance.
    Quiet,
    /// Axes and borders.
    Rule,
    /// Lines that help the eye.
    Grid,
    /// The n-th of several things, for lines and marks.
    Series(usize),
    /// The n-th of several things, for areas behind words.
    Tint(usize),
    /// A value, from 0 to 1.
    Heat(f64),
    /// Words on [`Paint::Heat`].
    OnHeat(f64),
    /// What should not be: a hole.
    Alert,
    /// The ground of [`Paint::Alert`].
    AlertTint,
}

/// Number of series with a colour of their own.
pub const SERIES: usize = 6;

/// blue, vermilion, green, purple, orange, sky blue
const LIGHT: [u32; SERIES] = [0x00_72_b2, 0xd5_5e_00, 0x00_9e_73, 0xb0_5a_8c, 0xe6_9f_00, 0x56_b4_e9];
const LIGHT_TINTS: [u32; SERIES] = [0xcf_e3_f2, 0xfb_dd_c8, 0xcd_ec_e1, 0xef_d9_e6, 0xfb_ea_c4, 0xe9_ec_ef];
const DARK: [u32; SERIES] = [0x56_b4_e9, 0xf5_8b_4b, 0x3f_c9_9b, 0xdd_96_bd, 0xf2_bd_4a, 0x9a_d4_f5];
const DARK_TINTS: [u32; SERIES] = [0x1d_3f_57, 0x56_30_1a, 0x17_45_36, 0x4a_2c_3f, 0x4d_3c_12, 0x2a_31_39];
const PRINT: [u32; SERIES] = [0x00_00_00, 0x70_70_70, 0x40_40_40, 0x9a_9a_9a, 0x58_58_58, 0x88_88_88];
const PRINT_TINTS: [u32; SERIES] = [0xd8_d8_d8, 0xf4_f4_f4, 0xb4_b4_b4, 0xc6_c6_c6, 0xf0_f0_f0, 0xe6_e6_e6];

impl Theme {
    /// Returns the colour of `paint`.
    pub fn color(self, paint: Paint) -> RgbColor {
        let pick = |light: u32, dark: u32, print: u32| match self {
            Self::Light => rgb(light),
            Self::Dark => rgb(dark),
            Self::Print => rgb(print),
        };
        match paint {
            Paint::Paper => pick(0xff_ff_ff, 0x0d_11_17, 0xff_ff_ff),
            Paint::Ink => pick(0x1b_1f_24, 0xe6_ed_f3, 0x00_00_00),
            Paint::Quiet => pick(0x57_60_6a, 0x9d_a7_b3, 0x40_40_40),
            Paint::Rule => pick(0x8c_95_9f, 0x6e_76_81, 0x60_60_60),
            Paint::Grid => pick(0xe3_e6_ea, 0x25_2c_35, 0xd9_d9_d9),
            Paint::Series(n) => pick(LIGHT[n % SERIES], DARK[n % SERIES], PRINT[n % SERIES]),
            Paint::Tint(n) => pick(LIGHT_TINTS[n % SERIES], DARK_TINTS[n % SERIES], PRINT_TINTS[n % SERIES]),
            Paint::Heat(share) => self.heat(share),
            Paint::OnHeat(share) => {
                let (behind, dark, light) = (self.heat(share), rgb(0x10_14_18), rgb(0xff_ff_ff));
                if contrast(dark, behind) > contrast(light, behind) { dark } else { light }
            }
            Paint::Alert => pick(0xd5_5e_00, 0xf5_8b_4b, 0x00_00_00),
            Paint::AlertTint => pick(0xfd_f0_e6, 0x2e_1d_12, 0xff_ff_ff),
        }
    }

    /// Returns the colour of the page; none for a paper, which has its own.
    pub fn paper(self) -> Option<RgbColor> {
        (self != Self::Print).then(|| self.color(Paint::Paper))
    }

    fn heat(self, share: f64) -> RgbColor {
        let stops: [u32; 5] = match self {
            Self::Light => [0xdc_e9_f4, 0xa6_ca_e4, 0x5b_9f_cd, 0x1f_6c_ab, 0x08_36_6b],
            Self::Dark => [0x16_32_4d, 0x1f_57_83, 0x35_87_bd, 0x7c_bd_e4, 0xe2_f2_fc],
            Self::Print => [0xe0_e0_e0, 0xb4_b4_b4, 0x84_84_84, 0x50_50_50, 0x18_18_18],
        };
        let position = share.clamp(0.0, 1.0) * 4.0;
        let low = (position.floor() as usize).min(3);
        let mix = position - low as f64;
        let (RgbColor(r0, g0, b0), RgbColor(r1, g1, b1)) = (rgb(stops[low]), rgb(stops[low + 1]));
        let blend = |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * mix).round() as u8;
        RgbColor(blend(r0, r1), blend(g0, g1), blend(b0, b1))
    }
}

/// Relative luminance, 0 to 1 (WCAG 2.2).
fn luminance(RgbColor(r, g, b): RgbColor) -> f64 {
    let linear = |byte: u8| {
        let share = f64::from(byte) / 255.0;
        if share <= 0.04045 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
}

/// Contrast of two colours, 1 to 21 (WCAG 2.2).
fn contrast(a: RgbColor, b: RgbColor) -> f64 {
    let (a, b) = (luminance(a) + 0.05, luminance(b) + 0.05);
    a.max(b) / a.min(b)
}

fn rgb(code: u32) -> RgbColor {
    let [_, r, g, b] = code.to_be_bytes();
    RgbColor(r, g, b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_out_from_what_lies_behind_them() {
        for theme in [Theme::Light, Theme::Dark, Theme::Print] {
            for (words, behind) in [(Paint::Ink, Paint::Paper), (Paint::Quiet, Paint::Paper)]
                .into_iter()
                .chain((0..SERIES).map(|n| (Paint::Ink, Paint::Tint(n))))
                .chain((0..=20).map(|n| f64::from(n) / 20.0).map(|at| (Paint::OnHeat(at), Paint::Heat(at))))
            {
                let found = contrast(theme.color(words), theme.color(behind));
                assert!(found >= 4.0, "{theme:?}: {words:?} on {behind:?} {found:.1}");
            }
        }
    }

    #[test]
    fn heat_gets_steadily_darker_or_lighter() {
        for theme in [Theme::Light, Theme::Dark, Theme::Print] {
            let line: Vec<f64> =
                (0..=16).map(|n| luminance(theme.color(Paint::Heat(f64::from(n) / 16.0)))).collect();
            let steady = |less: fn(&f64, &f64) -> bool| line.windows(2).all(|pair| less(&pair[0], &pair[1]));
            assert!(steady(|a, b| a < b) || steady(|a, b| a > b), "{theme:?}: {line:?}");
        }
    }
}
