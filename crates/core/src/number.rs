//! Number formatting for people. Counts use SI prefixes (1000), bytes use binary ones (1024).

use num_bigint::BigUint;

/// Formats a number of things: `1 layer`, `1,200 layers`.
pub fn counted(count: u64, one: &str) -> String {
    format!("{} {one}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// Formats how often: `once`, `12 times`.
pub fn times(count: u64) -> String {
    if count == 1 { "once".into() } else { format!("{} times", grouped(count)) }
}

/// Formats `25557032` as `25,557,032`.
pub fn grouped(value: u64) -> String {
    group_digits(&value.to_string())
}

/// Formats `1, 2, 5`, cut short after eight numbers.
pub fn list(values: &[u64]) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<String> = values.iter().take(SHOWN).map(u64::to_string).collect();
    if values.len() > SHOWN { format!("{}, ...", shown.join(", ")) } else { shown.join(", ") }
}

/// Formats `3x5`, or `3` where all axes agree.
pub fn per_axis(values: &[u64]) -> String {
    match values {
        [first, rest @ ..] if rest.iter().all(|value| value == first) => first.to_string(),
        _ => values.iter().map(u64::to_string).collect::<Vec<_>>().join("x"),
    }
}

/// Inserts a comma between groups of three decimal digits.
pub fn group_digits(digits: &str) -> String {
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Formats an integer of any size: grouped up to 24 digits, then in powers of ten with the number of digits.
pub fn integer(value: &BigUint) -> String {
    let digits = value.to_string();
    if digits.len() <= 24 {
        return group_digits(&digits);
    }
    format!(
        "{}.{}e{} ({} digits)",
        &digits[..1],
        &digits[1..4],
        digits.len() - 1,
        grouped(digits.len() as u64)
    )
}

/// Formats a count by its magnitude, with four significant digits: `999`, `1.234 k`, `4.089 G`.
pub fn magnitude(value: u64) -> String {
    scaled(value, 1000, &["", " k", " M", " G", " T", " P", " E"], 4)
}

/// Formats bytes with a binary prefix, three significant digits: `512 B`, `9.38 MiB`.
pub fn bytes(value: u64) -> String {
    scaled(value, 1024, &[" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"], 3)
}

fn scaled(value: u64, base: u64, units: &[&str], digits: usize) -> String {
    if value < base {
        return format!("{value}{}", units[0]);
    }
    // The unit is chosen by the number that will be printed: 999,950 is `1.000 M`, never `1000 k`.
    let mut scaled = value as f64;
    let mut unit = 0;
    while unit + 1 < units.len() && round_to(scaled, decimals(scaled, digits)) >= base as f64 {
        scaled /= base as f64;
        unit += 1;
    }
    format!("{scaled:.*}{}", decimals(scaled, digits), units[unit])
}

/// Returns the decimals that show `value` with `digits` significant digits: 99.994 with four is `99.99`, 99.996 is
/// `100.0`.
fn decimals(value: f64, digits: usize) -> usize {
    (0..digits)
        .rev()
        .find(|&decimals| {
            let printed = round_to(value, decimals);
            printed < 10f64.powi(i32::try_from(digits - decimals).unwrap_or(i32::MAX))
        })
        .unwrap_or(0)
}

fn round_to(value: f64, decimals: usize) -> f64 {
    let factor = 10f64.powi(i32::try_from(decimals).unwrap_or(0));
    (value * factor).round() / factor
}

/// Formats a share as a percentage: `12.3 %`, `<0.1 %` for what would print as zero but is not.
pub fn share(value: f64) -> String {
    if value > 0.0 && value < 0.0005 { "<0.1 %".into() } else { format!("{:.1} %", value * 100.0) }
}

/// Formats a factor with three significant digits: `0.118x`, `8.47x`, `120x`, `1.00x`.
pub fn factor(value: f64) -> String {
    let decimals = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else if value >= 1.0 {
        2
    } else {
        3
    };
    format!("{value:.decimals$}x")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_change_where_the_printed_number_would() {
        for (value, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1.000 k"),
            (9_999, "9.999 k"),
            (99_994, "99.99 k"),
            (99_996, "100.0 k"), // not "100.00 k"
            (999_949, "999.9 k"),
            (999_950, "1.000 M"), // not "1000.0 k"
            (4_089_184_256, "4.089 G"),
            (u64::MAX, "18.45 E"),
        ] {
            assert_eq!(magnitude(value), text);
        }
        for (value, text) in
            [(1023, "1023 B"), (1024, "1.00 KiB"), (1_048_575, "1.00 MiB"), (9_830_400, "9.38 MiB")]
        {
            assert_eq!(bytes(value), text);
        }
    }

    #[test]
    fn digits_are_grouped_in_threes() {
        for (value, text) in [(0, "0"), (12, "12"), (123, "123"), (1234, "1,234"), (25_557_032, "25,557,032")]
        {
            assert_eq!(grouped(value), text);
        }
    }

    #[test]
    fn a_small_share_is_not_printed_as_zero() {
        assert_eq!(share(0.0), "0.0 %");
        assert_eq!(share(0.0001), "<0.1 %");
        assert_eq!(share(0.123), "12.3 %");
        assert_eq!(factor(0.118_055), "0.118x");
        assert_eq!(factor(8.4706), "8.47x");
    }
}
