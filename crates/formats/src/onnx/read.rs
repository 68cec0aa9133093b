//! Reads a model file without its weights.
//!
//! One pass over the file goes from message to message and copies everything except the data of large
//! tensors, which it skips; their locations are recorded in
//! [`TensorProto::left`](super::proto::TensorProto::left). So a file of gigabytes costs a few reads and
//! seeks, and what is decoded afterwards is small. The same pass bounds the resources that a hostile file can
//! use: the number of messages (each needs more memory than its bytes), their depth, and the bytes that are
//! copied.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Seek};

use prost::Message;

use super::proto::{Left, ModelProto};

/// Data of a tensor up to this size are copied: the analysis needs shapes, axes and scalars.
pub const KEPT: u64 = 4096;

/// Maximum number of bytes of a model besides its weights.
pub const MAX_BYTES: u64 = 512 << 20;

/// Maximum number of messages: nodes, attributes, tensors, sizes.
pub const MAX_MESSAGES: u64 = 6_000_000;

/// Maximum nesting of messages. A node of the main graph is at depth 2; each level of subgraphs adds 3.
pub const MAX_DEPTH: u32 = 64;

/// The reason why a file could not be read.
#[derive(Debug)]
pub enum Failure {
    /// It could not be read from disk.
    Io(io::Error),
    /// It is not an ONNX model: the flaw and its position.
    Malformed {
        /// The flaw.
        message: String,
        /// The message in which it was found: `node 17 (/conv1/Conv)`, `initializer 3`.
        place: String,
    },
    /// It exceeds the limits.
    Limit(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Malformed { message, place } if place.is_empty() => f.write_str(message),
            Self::Malformed { message, place } => write!(f, "{message} (in {place})"),
            Self::Limit(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Malformed { .. } | Self::Limit(_) => None,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The kinds of messages that the pass follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    Sparse,
    Function,
    ValueInfo,
    Type,
    TensorType,
    Shape,
    /// Any other message: copied completely.
    Leaf,
}

impl Kind {
    /// Returns the kind of the message in `field`; none for a number, a string or an unknown field.
    fn child(self, field: u64) -> Option<Self> {
        Some(match (self, field) {
            (Self::Model, 7) | (Self::Attribute, 6 | 11) => Self::Graph,
            (Self::Model, 25) => Self::Function,
            (Self::Model, 8 | 14)
            | (Self::Node | Self::Function, 9)
            | (Self::Graph, 16)
            | (Self::Tensor, 13)
            | (Self::Shape, 1)
            | (Self::ValueInfo, 4) => Self::Leaf,
            (Self::Graph, 1) | (Self::Function, 7) => Self::Node,
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) | (Self::Sparse, 1 | 2) => Self::Tensor,
            (Self::Graph, 15) | (Self::Attribute, 22) => Self::Sparse,
            (Self::Graph, 11..=13) => Self::ValueInfo,
            (Self::Node, 5) | (Self::Function, 11) => Self::Attribute,
            (Self::ValueInfo, 2) => Self::Type,
            (Self::Type, 1) => Self::TensorType,
            (Self::TensorType, 2) => Self::Shape,
            _ => return None,
        })
    }

    /// Returns whether `field` is not used: training information, annotations, unknown fields. Skipped, so
    /// that nothing large hides there, and so that [`LEFT`] can only come from this pass.
    fn skips(self, field: u64) -> bool {
        match self {
            Self::Model => !matches!(field, 1..=8 | 14 | 25),
            Self::Graph => !matches!(field, 1 | 2 | 5 | 10..=13 | 15 | 16),
            Self::Node => !matches!(field, 1..=9),
            Self::Attribute => !matches!(field, 1..=11 | 13 | 20..=22),
            Self::Tensor => !matches!(field, 1 | 2 | 4..=14),
            Self::Sparse => !matches!(field, 1..=3),
            Self::Function => !matches!(field, 1 | 4..=7 | 9..=11 | 13),
            Self::ValueInfo => !matches!(field, 1..=4),
            Self::Type | Self::Shape => field != 1,
            Self::TensorType => !matches!(field, 1 | 2),
            Self::Leaf => false,
        }
    }

    /// Returns the display name of such a message.
    fn noun(self, field: u64) -> &'static str {
        match (self, field) {
            (Self::Graph, 1) | (Self::Function, 7) => "node",
            (Self::Graph, 5) => "initializer",
            (Self::Graph, 15) => "sparse initializer",
            (Self::Graph, 11) => "input",
            (Self::Graph, 12) => "output",
            (Self::Graph, 13) => "value",
            (Self::Node, 5) => "attribute",
            (Self::Model, 25) => "function",
            (_, _) => "",
        }
    }
}

/// Field number of [`TensorProto::left`](super::proto::TensorProto::left), the largest that there is.
const LEFT: u64 = 536_870_911;

/// Returns whether `field` is a tensor's doc string or data, whose size the network's structure does not
/// bound.
fn is_data(field: u64) -> bool {
    matches!(field, 4..=7 | 9..=11)
}

/// Reads a model from a file or any other seekable source.
///
/// # Errors
/// If the source cannot be read, is not an ONNX model, or exceeds the limits.
pub fn read(source: impl Read + Seek) -> Result<ModelProto, Failure> {
    let mut reader = BufReader::with_capacity(1 << 16, source);
    let length = reader.seek(io::SeekFrom::End(0))?;
    reader.seek(io::SeekFrom::Start(0))?;
    let mut pass = Pass { reader, position: 0, kept: 0, messages: 0, places: vec![] };
    let mut bytes = Vec::new();
    pass.message(Kind::Model, length, 0, &mut bytes)?;
    ModelProto::decode(bytes::Bytes::from(bytes))
        .map_err(|error| Failure::Malformed { message: plain(&error), place: String::new() })
}

/// Returns prost's error without its prefix.
fn plain(error: &prost::DecodeError) -> String {
    let text = error.to_string();
    text.strip_prefix("failed to decode Protobuf message: ").unwrap_or(&text).to_owned()
}

/// One pass over a file.
struct Pass<R> {
    reader: BufReader<R>,
    position: u64,
    kept: u64,
    messages: u64,
    /// The messages that are being read, outermost first: the display name of each, and its number among its
    /// siblings.
    places: Vec<(&'static str, u64)>,
}

impl<R: Read + Seek> Pass<R> {
    /// Copies the message of `kind` that ends at `end`, without the data that stay in the file.
    fn message(&mut self, kind: Kind, end: u64, depth: u32, out: &mut Vec<u8>) -> Result<(), Failure> {
        self.messages += 1;
        if self.messages > MAX_MESSAGES {
            return Err(Failure::Limit(format!(
                "the model has more than {MAX_MESSAGES} nodes, settings and sizes"
            )));
        }
        if depth > MAX_DEPTH {
            return Err(Failure::Limit(format!("the model is nested more than {MAX_DEPTH} levels deep")));
        }
        // Numbers within repeated fields, for error messages; no kind has more than 26 fields.
        let mut numbers = [0u64; 32];
        while self.position < end {
            let tag = self.varint(end)?;
            let (field, wire) = (tag >> 3, tag & 7);
            if field == 0 || field > LEFT {
                return Err(self.malformed(format!("a field has the number {field}")));
            }
            let skip = kind.skips(field);
            match wire {
                0 => {
                    let value = self.varint(end)?;
                    if !skip {
                        put(out, tag);
                        put(out, value);
                    }
                }
                1 | 5 => {
                    let mut fixed = [0; 8];
                    let size = if wire == 1 { 8 } else { 4 };
                    self.exact(&mut fixed[..size], end)?;
                    if !skip {
                        put(out, tag);
                        out.extend_from_slice(&fixed[..size]);
                    }
                }
                2 => {
                    let length = self.varint(end)?;
                    let stop = self.position.checked_add(length).filter(|&stop| stop <= end);
                    let Some(stop) = stop else {
                        return Err(self.malformed(format!(
                            "a field of {length} bytes is longer than what is left of the file"
                        )));
                    };
                    let child = kind.child(field);
                    if skip || (kind == Kind::Tensor && is_data(field) && length > KEPT) {
                        if !skip {
                            self.leave(field, length, out);
                        }
                        self.jump(stop)?;
                    } else if let Some(child) = child {
                        let number = &mut numbers[(field & 31) as usize];
                        self.places.push((kind.noun(field), *number));
                        *number += 1;
                        let mut inner = Vec::new();
                        if child == Kind::Leaf {
                            self.messages += 1;
                            self.copy(length, end, &mut inner)?;
                        } else {
                            self.message(child, stop, depth + 1, &mut inner)?;
                        }
                        self.places.pop();
                        put(out, tag);
                        put(out, inner.len() as u64);
                        out.append(&mut inner);
                    } else {
                        put(out, tag);
                        put(out, length);
                        self.copy(length, end, out)?;
                    }
                }
                _ => return Err(self.malformed(format!("a field has the wire type {wire}"))),
            }
        }
        Ok(())
    }

    /// Records that `length` bytes of data from here on stay in the file.
    fn leave(&self, field: u64, length: u64, out: &mut Vec<u8>) {
        let left = Left { field: field as u32, offset: self.position, length };
        put(out, LEFT << 3 | 2);
        put(out, left.encoded_len() as u64);
        out.extend(left.encode_to_vec());
    }

    fn varint(&mut self, end: u64) -> Result<u64, Failure> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let mut byte = [0];
            self.exact(&mut byte, end)?;
            if shift == 63 && byte[0] > 1 {
                break;
            }
            value |= u64::from(byte[0] & 0x7f) << shift;
            if byte[0] < 0x80 {
                return Ok(value);
            }
        }
        Err(self.malformed("a number is longer than 64 bits".to_owned()))
    }

    fn exact(&mut self, buffer: &mut [u8], end: u64) -> Result<(), Failure> {
        if buffer.len() as u64 > end - self.position {
            return Err(self.malformed("it ends in the middle of a value".to_owned()));
        }
        self.keep(buffer.len() as u64)?;
        self.reader.read_exact(buffer)?;
        self.position += buffer.len() as u64;
        Ok(())
    }

    fn copy(&mut self, length: u64, end: u64, out: &mut Vec<u8>) -> Result<(), Failure> {
        if length > end - self.position {
            return Err(self.malformed("it ends in the middle of a value".to_owned()));
        }
        self.keep(length)?;
        let mut left = length;
        // In pieces: memory grows with the bytes that the file has, not with the length that it claims.
        while left > 0 {
            let buffer = self.reader.fill_buf()?;
            if buffer.is_empty() {
                return Err(self.malformed("it became shorter while it was read".to_owned()));
            }
            let size = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            out.extend_from_slice(&buffer[..size]);
            self.reader.consume(size);
            left -= size as u64;
        }
        self.position += length;
        Ok(())
    }

    fn jump(&mut self, stop: u64) -> Result<(), Failure> {
        let distance = i64::try_from(stop - self.position).unwrap_or(i64::MAX);
        self.reader.seek_relative(distance)?;
        self.position = stop;
        Ok(())
    }

    fn keep(&mut self, bytes: u64) -> Result<(), Failure> {
        self.kept += bytes;
        if self.kept > MAX_BYTES {
            let limit = MAX_BYTES >> 20;
            return Err(Failure::Limit(format!("the model has more than {limit} MiB besides its weights")));
        }
        Ok(())
    }

    fn malformed(&self, message: String) -> Failure {
        let named = self.places.iter().filter(|(noun, _)| !noun.is_empty());
        let place: Vec<String> = named.map(|(noun, number)| format!("{noun} {number}")).collect();
        Failure::Malformed { message, place: place.join(", ") }
    }
}

fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::super::proto::{GraphProto, TensorProto};
    use super::*;

    fn model(size: usize) -> ModelProto {
        let tensor = |name: &str, size| TensorProto {
            dims: vec![size as i64],
            data_type: 2,
            name: name.to_owned(),
            raw_data: vec![7; size].into(),
            ..TensorProto::default()
        };
        let initializer = vec![tensor("small", 5), tensor("large", size), tensor("last", 1)];
        ModelProto {
            ir_version: 8,
            graph: Some(GraphProto { initializer, ..GraphProto::default() }),
            ..ModelProto::default()
        }
    }

    #[test]
    fn large_data_stay_in_the_file() {
        let bytes = model(100_000).encode_to_vec();
        let read = read(Cursor::new(&bytes)).expect("a model");
        let graph = read.graph.expect("a graph");
        let [small, large, last] = graph.initializer.as_slice() else { panic!("three tensors") };
        assert_eq!(small.raw_data, vec![7; 5]);
        assert_eq!(last.name, "last");
        assert!(large.raw_data.is_empty());
        let [left] = large.left.as_slice() else { panic!("one field is left") };
        assert_eq!((left.field, left.length), (9, 100_000));
        let range = left.offset as usize..(left.offset + left.length) as usize;
        assert!(bytes[range].iter().all(|&byte| byte == 7));
    }

    #[test]
    fn a_model_without_large_data_is_read_as_it_was_written() {
        let model = model(100);
        assert_eq!(read(Cursor::new(model.encode_to_vec())).expect("a model"), model);
    }

    #[test]
    fn a_file_cannot_pretend_that_data_were_left() {
        let mut model = model(100);
        if let Some(graph) = &mut model.graph {
            graph.initializer[0].left.push(Left { field: 9, offset: 0, length: 1 << 40 });
        }
        let read = read(Cursor::new(model.encode_to_vec())).expect("a model");
        assert!(read.graph.expect("a graph").initializer[0].left.is_empty());
    }

    #[test]
    fn a_truncated_file_is_an_error_at_every_length() {
        let bytes = model(100).encode_to_vec();
        for length in 0..bytes.len() {
            // A file cut between two fields of the model is a valid, shorter model.
            let result = read(Cursor::new(&bytes[..length]));
            assert!(result.is_err() || result.is_ok_and(|model| model.graph.is_none()), "{length}");
        }
    }
}
