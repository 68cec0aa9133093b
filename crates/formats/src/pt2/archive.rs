//! The archive that `torch.export.save` writes: a ZIP with the program as JSON, and the weights beside it.
//!
//! - PyTorch 2.8 and later: `NAME/models/model.json`, `NAME/data/weights/model_weights_config.json` with the place of each
//!   tensor, `NAME/data/weights/weight_0` and so on with their elements; the same under `constants`.
//! - Before that: `serialized_exported_program.json`, and the weights in `serialized_state_dict.pt`, which `torch.save`
//!   wrote: an archive in the archive.

use std::collections::BTreeMap;
use std::io::Read;

use serde::de::DeserializeOwned;
use zip::ZipArchive;
use zip::result::ZipError;

use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::shape::product;

use super::messages::{data_type, width};
use super::schema::{Payload, Payloads, Program, TensorMeta, Versioned};
use super::state::{self, StateDict, damaged};
use super::written::Written;
use crate::onnx::archived::{self, Part};
use crate::onnx::proto::TensorProto;
use crate::onnx::source::{ModelSource, Readable};

/// Most bytes of the program's text; that of a network with 1,000 layers has 5 MiB.
const MAX_TEXT: u64 = 1 << 27;
/// The major version of the schema that is understood.
const MAJOR: i64 = 8;

/// What a stored tensor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Learned.
    Parameter,
    /// Kept, not learned.
    Buffer,
    /// A tensor that stood in the code.
    Constant,
}

/// An archive that is open.
pub(super) struct Archive<'a> {
    zip: ZipArchive<Box<dyn Readable + 'a>>,
    shown: String,
    /// The entry of the program.
    program: String,
    /// Where stored tensors are, newer generation.
    places: [BTreeMap<String, Payload>; 2],
    /// Where they are, older generation.
    state: [StateDict; 2],
    /// Names of one tensor, which the caller found out before it took the weights away.
    ties: BTreeMap<String, String>,
}

impl<'a> Archive<'a> {
    /// Opens the archive of `source`.
    pub fn open(source: &'a ModelSource) -> Result<Self, Problem> {
        let shown = source.shown();
        let file = source.open().map_err(|error| source.unreadable(&error))?;
        let zip = ZipArchive::new(file).map_err(|error| damaged(&shown, &error))?;
        let program = program(&zip).ok_or_else(|| no_program(&zip, &shown))?;
        let mut archive = Self {
            places: Default::default(),
            state: Default::default(),
            ties: BTreeMap::new(),
            program,
            shown,
            zip,
        };
        if archive.program.contains("models/") {
            archive.places = [archive.payloads("weights")?, archive.payloads("constants")?];
        } else {
            let file = |archive: &mut Self, name: &str| state::read(&mut archive.zip, source, name);
            archive.state = [
                file(&mut archive, "serialized_state_dict.pt")?,
                file(&mut archive, "serialized_constants.pt")?,
            ];
        }
        if let Some(name) = archive.extra("cnnkit_ties.json") {
            archive.ties = archive.parsed(&name)?;
        }
        Ok(archive)
    }

    /// The entry of this name in the archive's own folder, if there is one.
    fn entry(&self, name: &str) -> Option<String> {
        let folder = self.program.split_once("models/").map_or("", |(folder, _)| folder);
        let full = format!("{folder}{name}");
        self.zip.index_for_name(&full).map(|_| full)
    }

    /// The entry of an extra file, as both generations store them.
    fn extra(&self, name: &str) -> Option<String> {
        let entry = self.entry(&format!("extra/{name}"));
        entry.or_else(|| self.entry(&format!("extra_files/{name}")))
    }

    /// Where the layers were written; nothing if the archive does not state it.
    pub fn written(&mut self) -> Result<Written, Problem> {
        match self.extra("cnnkit_source.json") {
            Some(name) => self.parsed(&name),
            None => Ok(Written::default()),
        }
    }

    fn text(&mut self, name: &str) -> Result<Vec<u8>, Problem> {
        let shown = &self.shown;
        let entry = self.zip.by_name(name).map_err(|error| damaged(shown, &error))?;
        // What the entry claims of its size may be wrong.
        let mut bytes = Vec::new();
        let read = entry.take(MAX_TEXT + 1).read_to_end(&mut bytes);
        read.map_err(|error| damaged(shown, &ZipError::Io(error)))?;
        if bytes.len() as u64 > MAX_TEXT {
            let message = format!("`{shown}`: `{name}` has more than {MAX_TEXT} bytes");
            return Err(
                Problem::new(Code::Limit, message).help("no network is like this; is the file damaged?")
            );
        }
        Ok(bytes)
    }

    fn parsed<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, Problem> {
        let text = self.text(name)?;
        serde_json::from_slice(&text).map_err(|error| {
            let message = format!("`{}`: `{name}` is not what PyTorch writes: {error}", self.shown);
            Problem::new(Code::Syntax, message).help("copy the file again, or export the model again")
        })
    }

    /// Reads the program.
    pub fn program(&mut self) -> Result<Program, Problem> {
        let name = self.program.clone();
        let version: Versioned = self.parsed(&name)?;
        let major = version.schema_version.major;
        if major != MAJOR {
            let message = format!(
                "not supported: version {major} of the format; this version of cnnkit reads version {MAJOR}"
            );
            return Err(Problem::new(Code::InvalidValue, message)
                .help("export the model with PyTorch 2.5 or newer, or update cnnkit"));
        }
        self.parsed(&name)
    }

    fn payloads(&mut self, kind: &str) -> Result<BTreeMap<String, Payload>, Problem> {
        let suffix = format!("data/{kind}/model_{kind}_config.json");
        match self.entry(&suffix) {
            Some(name) => Ok(self.parsed::<Payloads>(&name)?.config),
            None => Ok(BTreeMap::new()),
        }
    }

    /// The stored tensor `own` of the module, as `name`, and what says whether another one is the same.
    pub fn tensor(
        &mut self,
        name: &str,
        own: &str,
        kind: Kind,
        meta: &TensorMeta,
    ) -> Result<(TensorProto, Option<String>), Problem> {
        let mut tensor = super::messages::stored(name, meta)?;
        if let Some(first) = self.ties.get(own) {
            return Ok((tensor, Some(format!("tied to {first}"))));
        }
        let Some(part) = self.part(own, kind, meta) else { return Ok((tensor, None)) };
        let (same, needed) = (format!("{part:?}"), part.needed(&tensor.dims));
        let there = match &part.at {
            archived::At::Bytes { length, .. } => *length,
            archived::At::Entry { length, .. } => *length,
        };
        // Tensors without their elements all lie in one empty entry.
        let complete = product(&crate::onnx::constant::sizes(&tensor.dims)?).is_some_and(|count| count > 0)
            && needed.is_some_and(|needed| needed <= there);
        archived::put(&mut tensor, &part);
        Ok((tensor, complete.then_some(same)))
    }

    /// Where a stored tensor is; none if it is not there.
    fn part(&mut self, own: &str, kind: Kind, meta: &TensorMeta) -> Option<Part> {
        let constant = usize::from(kind == Kind::Constant);
        for index in [constant, 1 - constant] {
            if let Some(part) = self.state[index].get(own) {
                return Some(part.clone());
            }
            let Some(payload) = self.places[index].get(own).cloned() else { continue };
            if payload.use_pickle {
                return None;
            }
            let folder = if index == 0 { "data/weights/" } else { "data/constants/" };
            let entry = self.entry(&format!("{folder}{}", payload.path_name))?;
            let stored = payload.tensor_meta.as_ref().unwrap_or(meta);
            let width = width(data_type(stored.dtype))?;
            return archived::part(&mut self.zip, &entry, width, &numbers(&stored.strides)?, offset(stored)?);
        }
        None
    }
}

/// Whether an entry is `suffix` in the archive's own folder.
fn inside(name: &str, suffix: &str) -> bool {
    name.strip_suffix(suffix).is_some_and(|folder| folder.is_empty() || folder.ends_with('/'))
}

/// The entry of the program.
fn program(zip: &ZipArchive<Box<dyn Readable + '_>>) -> Option<String> {
    let named = |wanted: &str| zip.file_names().find(|name| inside(name, wanted)).map(str::to_owned);
    named("models/model.json").or_else(|| named("serialized_exported_program.json")).or_else(|| {
        // A model may have a name of its own.
        let mut models = zip.file_names().filter(|name| {
            let file = name.rsplit_once("models/").map(|(_, file)| file);
            file.is_some_and(|file| file.strip_suffix(".json").is_some() && !file.contains('/'))
        });
        models.next().map(str::to_owned).filter(|_| models.next().is_none())
    })
}

fn no_program(zip: &ZipArchive<Box<dyn Readable + '_>>, shown: &str) -> Problem {
    let pickled = zip.file_names().any(|name| name.ends_with("data.pkl"));
    let (message, help) = if pickled {
        (
            format!("`{shown}` has weights but no graph: `torch.save` wrote it"),
            "export the module: `torch.export.save(torch.export.export(model, (example,)), \"net.pt2\")`",
        )
    } else {
        (
            format!("`{shown}` is an archive without an exported program"),
            "`torch.export.save` writes one; a ZIP of anything else is not read",
        )
    };
    Problem::new(Code::Missing, message).help(help)
}

fn numbers(list: &[super::schema::Dimension]) -> Option<Vec<u64>> {
    let number = |size: &super::schema::Dimension| match size {
        super::schema::Dimension::Known(size) => u64::try_from(*size).ok(),
        super::schema::Dimension::Expression(_) => None,
    };
    list.iter().map(number).collect()
}

fn offset(meta: &TensorMeta) -> Option<u64> {
    match &meta.storage_offset {
        None => Some(0),
        Some(offset) => numbers(std::slice::from_ref(offset))?.first().copied(),
    }
}
