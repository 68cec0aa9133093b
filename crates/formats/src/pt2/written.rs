//! Where the layers of a program were written. The Python package, which saw the modules being constructed, adds it to the
//! archive as `cnnkit_source.json`; it is missing in archives of other programs.

use std::collections::BTreeMap;

use serde::Deserialize;

use cnnkit_core::source::{Origin, SourceId, Sources, Span};

use crate::onnx::declared::Origins;

/// The texts in which a program's layers were written, and the places of the layers in them.
#[derive(Debug, Default, Deserialize)]
pub struct Written {
    files: Vec<File>,
    places: Vec<Place>,
    /// Where the network as a whole was written: an index of `places`.
    #[serde(default)]
    whole: Option<usize>,
    /// Indices of `places`, by the names of the program's nodes.
    #[serde(default)]
    nodes: BTreeMap<String, usize>,
    /// Indices of `places`, by the names of stored tensors.
    #[serde(default)]
    tensors: BTreeMap<String, usize>,
}

#[derive(Debug, Deserialize)]
struct File {
    name: String,
    text: String,
}

/// A file's index, and the first byte and the one past the last.
type Range = (usize, usize, usize);

#[derive(Debug, Deserialize)]
struct Place {
    at: Range,
    /// The values of arguments.
    #[serde(default)]
    args: BTreeMap<String, Range>,
    /// The modules that contain the layer, innermost first: the name of the class, and where it was constructed.
    #[serde(default)]
    used_at: Vec<(String, Range)>,
}

impl Written {
    /// Returns the texts, and where everything was written in them. Places outside of the texts are left out.
    pub fn resolved(self) -> (Sources, Origins) {
        let mut sources = Sources::default();
        let ids: Vec<(SourceId, usize)> = self
            .files
            .into_iter()
            .map(|file| {
                let length = file.text.len();
                (sources.add(file.name, file.text), length)
            })
            .collect();
        let span = |&(file, start, end): &Range| {
            let &(source, length) = ids.get(file)?;
            let text = &sources.get(source).text;
            let fits = start <= end && end <= length;
            (fits && text.is_char_boundary(start) && text.is_char_boundary(end))
                .then(|| Span::new(source, start, end))
        };
        let origin = |place: &Place| Origin {
            span: span(&place.at),
            args: place.args.iter().filter_map(|(name, at)| Some((name.clone(), span(at)?))).collect(),
            used_at: place.used_at.iter().filter_map(|(name, at)| Some((name.clone(), span(at)?))).collect(),
        };
        let places: Vec<Origin> = self.places.iter().map(origin).collect();
        let named = |list: BTreeMap<String, usize>| {
            let found = list.into_iter().filter_map(|(name, index)| Some((name, places.get(index)?.clone())));
            found.collect()
        };
        let origins = Origins {
            whole: self.whole.and_then(|index| places.get(index).cloned()).unwrap_or_default(),
            nodes: named(self.nodes),
            tensors: named(self.tensors),
        };
        (sources, origins)
    }
}
