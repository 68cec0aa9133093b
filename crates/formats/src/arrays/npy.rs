//! NumPy's format: a header that says what follows, then the elements.
//!
//! The header comes from the file, so nothing is allocated because of it: elements are kept as they arrive, and whoever
//! reads says how many may come.

use std::io::{self, Read};

use half::f16;
use ndarray::{ArrayD, IxDyn, ShapeBuilder as _};

use cnnkit_exec::tensor::Tensor;

/// The first bytes of a file.
const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Maximum length of a header; NumPy itself allows 10,000 by default.
const MAX_HEADER: u64 = 1 << 16;

/// Types of elements that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    F16,
    F32,
    F64,
}

impl Element {
    /// Returns its bytes.
    fn size(self) -> u64 {
        match self {
            Self::F16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }
}

/// What elements are that are not read, by the letter of NumPy's type.
const OTHERS: &[(char, &str)] = &[
    ('b', "truth values"),
    ('?', "truth values"),
    ('i', "integers"),
    ('u', "integers"),
    ('c', "complex numbers"),
    ('f', "real numbers of another width"),
    ('U', "text"),
    ('S', "text"),
    ('a', "text"),
    ('O', "Python objects"),
    ('M', "dates"),
    ('m', "durations"),
    ('V', "raw bytes, in which NumPy saves bfloat16, for one,"),
    ('[', "records"),
];

/// What a file contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    element: Element,
    big_endian: bool,
    /// Whether the first axis varies fastest.
    fortran: bool,
    /// The sizes.
    pub(super) sizes: Vec<usize>,
    /// The number of elements.
    pub(super) count: u64,
}

impl Header {
    /// Returns the bytes of all elements; none beyond 64 bits.
    pub(super) fn bytes(&self) -> Option<u64> {
        self.count.checked_mul(self.element.size())
    }
}

fn invalid(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.into())
}

/// Reads the header; the elements follow.
///
/// # Errors
/// If it is not one of NumPy's format, or of elements other than float16, float32 and float64.
pub(super) fn header(reader: &mut impl Read) -> io::Result<Header> {
    let mut start = [0; 8];
    reader.read_exact(&mut start).map_err(|_| invalid("it is not a .npy file: it is too short"))?;
    if start[..6] != *MAGIC {
        return Err(invalid("it is not a .npy file"));
    }
    let length = if start[6] == 1 {
        let mut bytes = [0; 2];
        reader.read_exact(&mut bytes)?;
        u64::from(u16::from_le_bytes(bytes))
    } else {
        let mut bytes = [0; 4];
        reader.read_exact(&mut bytes)?;
        u64::from(u32::from_le_bytes(bytes))
    };
    if length > MAX_HEADER {
        return Err(invalid(format!("its header has {length} bytes, the limit is {MAX_HEADER}")));
    }
    let mut text = String::new();
    reader.take(length).read_to_string(&mut text)?;
    parse(&text).ok_or_else(|| invalid("its header is not one of a .npy file"))?
}

/// Parses `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 5, 5), }`.
fn parse(text: &str) -> Option<io::Result<Header>> {
    let value = |key: &str| {
        let at = text.find(&format!("'{key}'")).or_else(|| text.find(&format!("\"{key}\"")))?;
        Some(text[at + key.len() + 2..].trim_start().strip_prefix(':')?.trim_start())
    };
    let descr = value("descr")?;
    let quote = descr.chars().next().filter(|c| ['\'', '"'].contains(c));
    let descr = quote.and_then(|quote| descr[1..].split(quote).next()).unwrap_or(descr);
    let fortran = value("fortran_order")?.starts_with("True");
    let (list, _) = value("shape")?.strip_prefix('(')?.split_once(')')?;
    let sizes = list.split(',').map(str::trim).filter(|size| !size.is_empty());
    let sizes: Vec<usize> =
        sizes.map(|size| size.trim_end_matches('L').parse().ok()).collect::<Option<_>>()?;
    let element = match descr.trim_start_matches(['<', '>', '=']) {
        "f2" => Element::F16,
        "f4" => Element::F32,
        "f8" => Element::F64,
        other => {
            // A list of fields has no quotes around it.
            let end = if quote.is_some() {
                descr.len()
            } else {
                descr.find(']').map_or(descr.len(), |end| end + 1)
            };
            let shown: String = descr[..end].chars().take(40).collect();
            let kind = other.trim_start_matches('|').chars().next();
            let what = OTHERS.iter().find(|(letter, _)| Some(*letter) == kind);
            let what = what.map_or_else(|| "of a type".to_owned(), |(_, what)| (*what).to_owned());
            return Some(Err(invalid(format!(
                "its elements are {what} (`{shown}`); they must be float16, float32 or float64 (`astype`)"
            ))));
        }
    };
    let Some(count) = sizes.iter().try_fold(1u64, |count, &size| count.checked_mul(size as u64)) else {
        return Some(Err(invalid(format!("its sizes {sizes:?} are too large"))));
    };
    Some(Ok(Header { element, big_endian: descr.starts_with('>'), fortran, sizes, count }))
}

/// Reads the elements that `header` announces, as f32.
///
/// # Errors
/// If there are fewer.
pub(super) fn elements(reader: &mut impl Read, header: &Header) -> io::Result<Tensor<f32>> {
    let mut data: Vec<f32> = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    let size = header.element.size() as usize;
    let mut rest = header.count;
    while rest > 0 {
        let now = rest.min((buffer.len() / size) as u64);
        let bytes = &mut buffer[..now as usize * size];
        reader.read_exact(bytes).map_err(|error| {
            if error.kind() == io::ErrorKind::UnexpectedEof {
                invalid(format!("it ends after {} of its {} elements", header.count - rest, header.count))
            } else {
                error
            }
        })?;
        // The last request makes room for exactly what is left.
        data.reserve_exact(if rest == now { now as usize } else { 0 });
        match (header.element, header.big_endian) {
            // Every f16 is an f32.
            (Element::F16, false) => {
                data.extend(bytes.as_chunks().0.iter().map(|&b| f16::from_le_bytes(b).to_f32()));
            }
            (Element::F16, true) => {
                data.extend(bytes.as_chunks().0.iter().map(|&b| f16::from_be_bytes(b).to_f32()));
            }
            (Element::F32, false) => data.extend(bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b))),
            (Element::F32, true) => data.extend(bytes.as_chunks().0.iter().map(|&b| f32::from_be_bytes(b))),
            (Element::F64, false) => {
                for &element in bytes.as_chunks().0 {
                    data.push(narrowed(f64::from_le_bytes(element))?);
                }
            }
            (Element::F64, true) => {
                for &element in bytes.as_chunks().0 {
                    data.push(narrowed(f64::from_be_bytes(element))?);
                }
            }
        }
        rest -= now;
    }
    let shape = IxDyn(&header.sizes);
    let array = ArrayD::from_shape_vec(shape.set_f(header.fortran), data);
    Ok(Tensor::from_array(array.map_err(|error| invalid(error.to_string()))?))
}

/// Returns the nearest f32; an error if that of a finite number is infinite.
pub(super) fn narrowed(value: f64) -> io::Result<f32> {
    let nearest = value as f32;
    if nearest.is_infinite() && value.is_finite() {
        return Err(invalid(format!("its element {value:e} is too large for f32, in which networks run")));
    }
    Ok(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([1, 0]);
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn read(bytes: &[u8]) -> io::Result<Tensor<f32>> {
        let mut reader = bytes;
        let header = header(&mut reader)?;
        elements(&mut reader, &header)
    }

    #[test]
    fn orders_and_types_of_elements_are_read() {
        let header = "{'descr': '<f8', 'fortran_order': True, 'shape': (2, 2), }\n";
        let data: Vec<u8> = [1.0f64, 3.0, 2.0, 4.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(read(&file(header, &data)).expect("an array").data(), [1.0, 2.0, 3.0, 4.0]);
        let header = "{\"descr\": \">f4\", 'fortran_order': False, 'shape': (1,)}";
        assert_eq!(read(&file(header, &1.5f32.to_be_bytes())).expect("an array").data(), [1.5]);
        // 1.5, the smallest number, -65504 and infinity, in both orders of bytes.
        let halves: [u16; 4] = [0x3e00, 0x0001, 0xfbff, 0x7c00];
        let wanted = [1.5, 2.0f32.powi(-24), -65504.0, f32::INFINITY];
        for (order, data) in [
            ('<', halves.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>()),
            ('>', halves.iter().flat_map(|x| x.to_be_bytes()).collect()),
        ] {
            let header = format!("{{'descr': '{order}f2', 'fortran_order': False, 'shape': (4,)}}");
            assert_eq!(read(&file(&header, &data)).expect("an array").data(), wanted);
        }
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': ()}";
        assert_eq!(read(&file(header, &2.0f32.to_le_bytes())).expect("a scalar").sizes(), [0usize; 0]);
    }

    #[test]
    fn claims_are_errors_before_they_are_allocations() {
        for (shape, why) in [
            ("(1000000, 1000000, 3)", "it ends after 0 of its 3000000000000 elements"),
            ("(99999999999, 99999999999)", "are too large"),
            ("(18446744073709551615,)", "it ends after 0"),
            ("(-1,)", "its header is not one"),
            ("3", "its header is not one"),
        ] {
            let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
            let error = read(&file(&header, &[])).expect_err(shape).to_string();
            assert!(error.contains(why), "{shape}: {error}");
        }
        for (descr, what) in [
            ("'<i8'", "integers (`<i8`); they must be float16, float32 or float64"),
            ("'|b1'", "truth values (`|b1`)"),
            ("'<c8'", "complex numbers (`<c8`)"),
            ("'<U7'", "text (`<U7`)"),
            ("'|O'", "Python objects (`|O`)"),
            ("'<V2'", "raw bytes, in which NumPy saves bfloat16, for one, (`<V2`)"),
            ("[('a', '<f4')]", "records (`[('a', '<f4')]`)"),
            ("'<f16'", "real numbers of another width (`<f16`)"),
        ] {
            let header = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': (1,)}}");
            let error = read(&file(&header, &[0; 8])).expect_err(what).to_string();
            assert!(error.contains(what), "{error}");
        }
        let large = |value: f64| {
            read(&file("{'descr': '<f8', 'fortran_order': False, 'shape': (1,)}", &value.to_le_bytes()))
        };
        assert!(large(-1e198).expect_err("too large").to_string().contains("-1e198 is too large for f32"));
        assert_eq!(large(f64::NEG_INFINITY).expect("an array").data(), [f32::NEG_INFINITY]);
        assert!(read(b"PK\x03\x04").is_err() && read(b"").is_err());
    }
}
