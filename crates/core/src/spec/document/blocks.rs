//! Block definitions.

use super::{Block, Reader};
use crate::diagnostic::{Code, Diagnostic};
use crate::layers;
use crate::spec::grammar;
use crate::spec::identifier::Kind;
use crate::value::{Key, Located, Value};

impl Reader<'_> {
    pub(super) fn take_blocks(&mut self, file: usize, value: &Located) {
        let Value::Map(blocks) = &value.value else {
            if value.value != Value::Null {
                let message = format!("`blocks` is {}, it maps names to blocks", value.value.describe());
                self.errors.push(
                    Diagnostic::error(Code::InvalidValue, message, value.span)
                        .help("`blocks: {stage: {args: {width: ~}, layers: [...]}}`"),
                );
            }
            return;
        };
        for (key, value) in blocks {
            // A block that is not read is not missed.
            if self.errors.len() > super::MAX_FLAWS {
                self.broken.insert(key.name.clone());
                continue;
            }
            if !self.valid_name(key, Kind::Block) {
                self.broken.insert(key.name.clone());
                continue;
            }
            if grammar::reserved(&key.name) || layers::KINDS.iter().any(|kind| kind.doc.name == key.name) {
                self.errors.push(
                    Diagnostic::error(
                        Code::InvalidValue,
                        format!("`{}` is reserved, a block cannot have this name", key.name),
                        key.span,
                    )
                    .help("give the block another name"),
                );
                continue;
            }
            if let Some(first) = self.blocks.get(&key.name) {
                self.errors.push(
                    Diagnostic::error(Code::InvalidValue, format!("a second block `{}`", key.name), key.span)
                        .related(first.key.span, "the first one")
                        .help("rename one of them"),
                );
                continue;
            }
            let known = self.errors.len();
            let block = self.block(file, key, value);
            match block {
                Some(block) if self.errors.len() == known => {
                    self.blocks.insert(key.name.clone(), block);
                }
                _ => {
                    self.broken.insert(key.name.clone());
                }
            }
        }
    }

    fn block(&mut self, file: usize, key: &Key, value: &Located) -> Option<Block> {
        // A bare list is a block without arguments.
        if let Value::List(_) = value.value {
            return Some(Block {
                key: key.clone(),
                file,
                args: vec![],
                inputs: vec![],
                layers: value.clone(),
            });
        }
        let Value::Map(entries) = &value.value else {
            let message = format!("block `{}` is {}", key.name, value.value.describe());
            self.errors.push(
                Diagnostic::error(Code::InvalidValue, message, value.span)
                    .help("a block has `args` and `layers`"),
            );
            return None;
        };
        let meant = self.check_keys(entries, grammar::BLOCK, "in a block");
        let find = |name: &str| entries.iter().find(|(k, _)| k.name == name).map(|(_, value)| value);
        let args = match find("args").map(|value| (&value.value, value.span)) {
            Some((Value::Map(args), _)) => args.clone(),
            Some((Value::Null, _)) | None => vec![],
            Some((other, span)) => {
                let message = format!("`args` is {}, it maps names to defaults", other.describe());
                self.errors.push(
                    Diagnostic::error(Code::InvalidValue, message, span)
                        .help("`args: {width: ~, stride: 1}`; `~` marks a required argument"),
                );
                vec![]
            }
        };
        for (key, _) in &args {
            self.valid_name(key, Kind::Variable);
        }
        let mut inputs = Vec::new();
        if let Some(value) = find("inputs") {
            let items = if let Value::List(items) = &value.value { items.as_slice() } else { &[] };
            for item in items {
                if let Value::Text(name) = &item.value {
                    let key = Key { name: name.clone(), span: item.span };
                    self.valid_name(&key, Kind::BlockInput);
                    inputs.push(key);
                }
            }
            if inputs.is_empty() || inputs.len() != items.len() {
                let message = format!("`inputs` is {}, it lists names", value.value.describe());
                self.errors.push(
                    Diagnostic::error(Code::InvalidValue, message, value.span).help("`inputs: [x, skip]`"),
                );
            }
        }
        let Some(layers) = find("layers") else {
            if !meant.contains(&"layers") {
                let message = format!("block `{}` has no `layers`", key.name);
                self.errors.push(
                    Diagnostic::error(Code::Missing, message, key.span)
                        .help("list them below `layers:`, each with a dash"),
                );
            }
            return None;
        };
        if !matches!(layers.value, Value::List(_) | Value::Null) {
            let message = format!("expected a list of layers, found {}", layers.value.describe());
            self.errors.push(
                Diagnostic::error(Code::InvalidValue, message, layers.span)
                    .help("start each layer with a dash: `- relu`"),
            );
        }
        Some(Block { key: key.clone(), file, args, inputs, layers: layers.clone() })
    }
}
