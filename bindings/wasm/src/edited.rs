//! The text of the editor as a file among the built-in specs, whose blocks it may include.

use std::path::Path;

use cnnkit::zoo::Zoo;
use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::spec::files::Files;

/// The text of the editor, beside the specs of the zoo.
pub struct Edited {
    /// Its name in messages.
    name: String,
    text: String,
}

impl Edited {
    /// The path of the text: a folder beside `blocks`, so that `../blocks/resnet.yaml` is found.
    pub const PATH: &'static str = "editor/spec.yaml";

    /// Returns the `text`, which messages call `name`.
    pub fn new(name: String, text: String) -> Self {
        Self { name, text }
    }
}

impl Files for Edited {
    fn read(&self, path: &str) -> Result<Vec<u8>, Problem> {
        if path == Self::PATH {
            return Ok(self.text.clone().into_bytes());
        }
        Zoo.read(path).map_err(|_| {
            let shown = Path::new(path).strip_prefix("editor").unwrap_or(Path::new(path)).display();
            Problem::new(Code::Include, format!("there is no built-in file `{shown}`, and a page reads no others"))
                .help("write the blocks into this spec, below `blocks:`, or include a built-in file: `../blocks/resnet.yaml`")
        })
    }

    fn resolve(&self, from: &str, include: &str) -> Result<String, Problem> {
        Zoo.resolve(from, include)
    }

    fn display(&self, path: &str) -> String {
        if path == Self::PATH { self.name.clone() } else { Zoo.display(path) }
    }
}
