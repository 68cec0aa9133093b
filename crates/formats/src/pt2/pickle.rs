//! The part of Python's pickle format in which `torch.save` writes a dictionary of tensors. Nothing is called: what a pickle
//! would call is looked at, and anything but a tensor stays a value without meaning.

use std::cell::RefCell;
use std::rc::Rc;

/// Most values on the stack and in the memo together.
const MAX_VALUES: usize = 1 << 22;

/// A tensor in a pickle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pickled {
    /// The class of its storage: `FloatStorage`.
    pub storage: String,
    /// The entry of its storage.
    pub key: String,
    /// Its first element in the storage.
    pub first: u64,
    /// Distances between neighbours along each axis, in elements.
    pub strides: Vec<u64>,
}

#[derive(Debug)]
enum Value {
    Other,
    Int(i64),
    Text(String),
    Global(String),
    Tuple(Vec<Rc<Value>>),
    Dict(RefCell<Vec<(Rc<Value>, Rc<Value>)>>),
    Storage { class: String, key: String },
    Tensor(Pickled),
}

struct Machine<'a> {
    bytes: &'a [u8],
    stack: Vec<Rc<Value>>,
    marks: Vec<usize>,
    memo: Vec<Option<Rc<Value>>>,
}

/// The tensors of a pickled dictionary, by their names; none if it is damaged or something else.
pub(super) fn tensors(bytes: &[u8]) -> Option<Vec<(String, Pickled)>> {
    let mut machine = Machine { bytes, stack: vec![], marks: vec![], memo: vec![] };
    while machine.step()? {}
    let top = machine.stack.pop()?;
    let Value::Dict(entries) = top.as_ref() else { return None };
    let entries = entries.borrow();
    let tensors = entries.iter().filter_map(|(name, value)| match (name.as_ref(), value.as_ref()) {
        (Value::Text(name), Value::Tensor(tensor)) => Some((name.clone(), tensor.clone())),
        _ => None,
    });
    Some(tensors.collect())
}

impl Machine<'_> {
    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count)?;
        self.bytes = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn number(&mut self, bytes: usize) -> Option<u64> {
        Some(self.take(bytes)?.iter().rev().fold(0u64, |number, &byte| (number << 8) | u64::from(byte)))
    }

    fn text(&mut self, length: u64) -> Option<String> {
        String::from_utf8(self.take(usize::try_from(length).ok()?)?.to_vec()).ok()
    }

    fn line(&mut self) -> Option<String> {
        let end = self.bytes.iter().position(|&byte| byte == b'\n')?;
        let line = self.text(end as u64)?;
        self.byte()?;
        Some(line)
    }

    fn push(&mut self, value: Value) -> Option<()> {
        self.stack.push(Rc::new(value));
        (self.stack.len() + self.memo.len() <= MAX_VALUES).then_some(())
    }

    fn remember(&mut self, place: usize) -> Option<()> {
        if place >= MAX_VALUES {
            return None;
        }
        if place >= self.memo.len() {
            self.memo.resize(place + 1, None);
        }
        self.memo[place] = Some(Rc::clone(self.stack.last()?));
        Some(())
    }

    fn recall(&mut self, place: u64) -> Option<()> {
        let value = self.memo.get(usize::try_from(place).ok()?)?.clone()?;
        self.stack.push(value);
        (self.stack.len() <= MAX_VALUES).then_some(())
    }

    fn since_mark(&mut self) -> Option<Vec<Rc<Value>>> {
        let mark = self.marks.pop()?;
        (mark <= self.stack.len()).then(|| self.stack.split_off(mark))
    }

    fn tuple(&mut self, count: usize) -> Option<()> {
        let start = self.stack.len().checked_sub(count)?;
        let parts = self.stack.split_off(start);
        self.push(Value::Tuple(parts))
    }

    fn set(&mut self, items: Vec<Rc<Value>>) -> Option<()> {
        if let Value::Dict(entries) = self.stack.last()?.as_ref() {
            let mut entries = entries.borrow_mut();
            let mut items = items.into_iter();
            while let (Some(name), Some(value)) = (items.next(), items.next()) {
                entries.push((name, value));
            }
        }
        Some(())
    }

    /// One instruction; whether there are more.
    fn step(&mut self) -> Option<bool> {
        match self.byte()? {
            b'.' => return Some(false),
            0x80 => self.byte().map(|_| ())?,
            0x95 => self.number(8).map(|_| ())?,
            b'(' => self.marks.push(self.stack.len()),
            b'}' => self.push(Value::Dict(RefCell::default()))?,
            b']' | b'N' | 0x88 | 0x89 | 0x8f => self.push(Value::Other)?,
            b')' => self.push(Value::Tuple(vec![]))?,
            b't' => {
                let parts = self.since_mark()?;
                self.push(Value::Tuple(parts))?;
            }
            count @ 0x85..=0x87 => self.tuple(usize::from(count - 0x84))?,
            b'q' => {
                let place = self.byte()?;
                self.remember(usize::from(place))?;
            }
            b'r' => {
                let place = self.number(4)?;
                self.remember(usize::try_from(place).ok()?)?;
            }
            0x94 => self.remember(self.memo.len())?,
            b'h' => {
                let place = self.number(1)?;
                self.recall(place)?;
            }
            b'j' => {
                let place = self.number(4)?;
                self.recall(place)?;
            }
            b'J' => {
                let number = self.number(4)?;
                self.push(Value::Int(i64::from(number as u32 as i32)))?;
            }
            b'K' => {
                let number = self.number(1)?;
                self.push(Value::Int(number as i64))?;
            }
            b'M' => {
                let number = self.number(2)?;
                self.push(Value::Int(number as i64))?;
            }
            0x8a => {
                let length = usize::from(self.byte()?);
                let number = if length <= 8 { self.number(length)? } else { return None };
                let sign = 64 - 8 * length as u32;
                self.push(Value::Int(if length == 0 { 0 } else { ((number << sign) as i64) >> sign }))?;
            }
            b'G' => {
                self.number(8)?;
                self.push(Value::Other)?;
            }
            b'X' => {
                let length = self.number(4)?;
                let text = self.text(length)?;
                self.push(Value::Text(text))?;
            }
            0x8c => {
                let length = self.number(1)?;
                let text = self.text(length)?;
                self.push(Value::Text(text))?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Value::Global(format!("{module}.{name}")))?;
            }
            0x93 => {
                let (name, module) = (self.stack.pop()?, self.stack.pop()?);
                let (Value::Text(name), Value::Text(module)) = (name.as_ref(), module.as_ref()) else {
                    return None;
                };
                self.push(Value::Global(format!("{module}.{name}")))?;
            }
            b'Q' => {
                let id = self.stack.pop()?;
                self.push(storage(&id).unwrap_or(Value::Other))?;
            }
            b'R' | 0x81 => {
                let (arguments, function) = (self.stack.pop()?, self.stack.pop()?);
                self.push_called(&function, &arguments)?;
            }
            b'b' => {
                self.stack.pop()?;
            }
            b's' => {
                let (value, name) = (self.stack.pop()?, self.stack.pop()?);
                self.set(vec![name, value])?;
            }
            b'u' => {
                let items = self.since_mark()?;
                self.set(items)?;
            }
            b'a' => {
                self.stack.pop()?;
            }
            b'e' => {
                self.since_mark()?;
            }
            _ => return None,
        }
        Some(true)
    }

    fn push_called(&mut self, function: &Value, arguments: &Value) -> Option<()> {
        let (Value::Global(function), Value::Tuple(arguments)) = (function, arguments) else {
            return self.push(Value::Other);
        };
        match function.as_str() {
            "collections.OrderedDict" => self.push(Value::Dict(RefCell::default())),
            "torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor" => {
                self.push(tensor(arguments).map_or(Value::Other, Value::Tensor))
            }
            "torch._utils._rebuild_parameter" | "torch._tensor._rebuild_from_type_v2" => {
                let inner = arguments.iter().find(|argument| matches!(argument.as_ref(), Value::Tensor(_)));
                match inner {
                    Some(inner) => {
                        self.stack.push(Rc::clone(inner));
                        Some(())
                    }
                    None => self.push(Value::Other),
                }
            }
            _ => self.push(Value::Other),
        }
    }
}

/// `('storage', torch.FloatStorage, '0', 'cpu', 9408)`.
fn storage(id: &Value) -> Option<Value> {
    let Value::Tuple(parts) = id else { return None };
    let [kind, class, key, ..] = parts.as_slice() else { return None };
    match (kind.as_ref(), class.as_ref(), key.as_ref()) {
        (Value::Text(kind), Value::Global(class), Value::Text(key)) if kind == "storage" => {
            let class = class.rsplit('.').next()?.to_owned();
            Some(Value::Storage { class, key: key.clone() })
        }
        _ => None,
    }
}

/// `(storage, first, sizes, strides, ...)`.
fn tensor(arguments: &[Rc<Value>]) -> Option<Pickled> {
    let [store, first, _, strides, ..] = arguments else { return None };
    let (Value::Storage { class, key }, Value::Int(first), Value::Tuple(strides)) =
        (store.as_ref(), first.as_ref(), strides.as_ref())
    else {
        return None;
    };
    let number = |value: &Rc<Value>| match value.as_ref() {
        Value::Int(number) => u64::try_from(*number).ok(),
        _ => None,
    };
    Some(Pickled {
        storage: class.clone(),
        key: key.clone(),
        first: u64::try_from(*first).ok()?,
        strides: strides.iter().map(number).collect::<Option<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_pickles_give_nothing() {
        for bytes in [&b""[..], b".", b"(((", b"\x8a\xff", b"h\x00.", b"}R.", b"X\xff\xff\xff\xff"] {
            assert_eq!(tensors(bytes), None, "{bytes:?}");
        }
        assert_eq!(tensors(b"\x80\x02}."), Some(vec![]));
    }
}
