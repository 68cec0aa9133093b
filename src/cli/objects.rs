//! Networks that only Python can build: `package.module:Name`, a class, a factory or an instance.
//!
//! The Python package of cnnkit imports and exports them, because the call or the project's file names them. The program
//! without Python refuses them.

use std::cell::RefCell;
use std::path::Path;

use crate::cli::Failure;

/// A network to import.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// What was named: `package.module:Name`.
    pub object: &'a str,
    /// The shapes of the inputs without the batch, each with its name; a name is empty for the next argument of `forward`.
    pub inputs: &'a [(String, Vec<u64>)],
    /// Arguments of the constructor: names, and literals of Python.
    pub arguments: &'a [(String, String)],
}

/// Imports a network and returns its archive, or the reason why it cannot.
pub type Importer = Box<dyn Fn(&Request<'_>) -> Result<Vec<u8>, String>>;

thread_local! {
    /// The importer of this thread, on which the program was started; none without Python.
    static IMPORTER: RefCell<Option<Importer>> = const { RefCell::new(None) };
}

/// Sets the importer of this thread.
pub fn set_importer(importer: Importer) {
    IMPORTER.set(Some(importer));
}

/// Returns whether an argument names an object of Python: two dotted names with a colon between them, and no file.
pub fn is_object(spec: &str) -> bool {
    let dotted = |text: &str| {
        text.split('.').all(|name| {
            name.starts_with(|c: char| c.is_alphabetic() || c == '_')
                && name.chars().all(|c| c.is_alphanumeric() || c == '_')
        })
    };
    let parts = spec.split_once(':').filter(|(package, _)| *package != "zoo");
    parts.is_some_and(|(module, name)| dotted(module) && dotted(name)) && !Path::new(spec).exists()
}

/// Imports a network and returns its archive.
///
/// # Errors
/// If there is no Python here, or it cannot import or export the network.
pub fn archive(request: &Request<'_>) -> Result<Vec<u8>, Failure> {
    IMPORTER.with_borrow(|importer| {
        let Some(importer) = importer else {
            return Err(Failure::usage(
                format!("`{}` names an object of Python, and this program has no Python", request.object),
                "`pip install cnnkit` installs the same program with it; without Python, name a `.pt2` file that `torch.export.save` wrote",
            ));
        };
        importer(request).map_err(|reason| {
            let (message, help) = reason.rsplit_once("\nhelp: ").unwrap_or((&reason, ""));
            let help = Some(help.to_owned()).filter(|help| !help.is_empty());
            Failure::Usage(message.to_owned(), help)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_of_python_is_no_path_and_no_built_in_network() {
        for yes in ["models:Net", "package.models:Net", "a.b:Outer.build", "_x:_y1"] {
            assert!(is_object(yes), "{yes}");
        }
        for no in
            ["zoo:resnet50", "net.yaml", "models:", ":Net", "a b:c", "1a:b", "C:/nets/a.yaml", "-", "a:b:c"]
        {
            assert!(!is_object(no), "{no}");
        }
    }
}
