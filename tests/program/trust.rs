//! Files of strangers: what they may make the program read, write, run and spend. docs/security.md makes the promises.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::program::{cnnkit, temporary};

/// A call in `folder`, and what it printed.
fn call(folder: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    text(&cnnkit(args).current_dir(folder).output().expect("the program runs"))
}

fn text(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(&path, content).expect("a file");
    path
}

/// An empty folder of its own.
fn fresh(name: &str) -> PathBuf {
    let folder = temporary(name);
    std::fs::remove_dir_all(&folder).expect("an old folder");
    temporary(name)
}

const NET: &str = "input: [3, 16, 16]\nlayers: [conv: {out_channels: 4, kernel: 3}, relu]\n";

/// Runs a call with at most `megabytes` of address space; a call that asks for more ends with a signal.
#[cfg(target_os = "linux")]
fn limited(folder: &Path, megabytes: u64, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new("sh");
    let program = env!("CARGO_BIN_EXE_cnnkit");
    command.arg("-c").arg(format!("ulimit -v {}; exec \"$0\" \"$@\"", megabytes * 1024)).arg(program);
    let start = Instant::now();
    let output =
        command.args(args).env("RAYON_NUM_THREADS", "1").current_dir(folder).output().expect("a call");
    assert!(start.elapsed() < Duration::from_secs(60), "{args:?} took {:?}", start.elapsed());
    text(&output)
}

#[cfg(target_os = "linux")]
#[test]
fn lists_and_connections_that_multiply_are_refused() {
    let folder = fresh("trust-multiply");
    let mut lists = String::from("input: [3, 8, 8]\nvariables:\n  v0: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n");
    for level in 1..12 {
        lists += &format!("  v{level}: [{}]\n", vec![format!("$v{}", level - 1); 10].join(", "));
    }
    write(&folder, "lists.yaml", lists + "layers: [relu]\n");
    let block =
        "input: [3, 8, 8]\nvariables: {t: [[1, 2], [3, 4]]}\nblocks: {b: {args: {a: ~}, layers: [relu]}}\n";
    write(&folder, "fine.yaml", format!("{block}layers: [b: {{a: $t}}, b: {{a: $t}}]\n"));
    let long = "x".repeat(1 << 20);
    let names = format!(
        "input: [3, 8, 8]\nvariables: {{t: {long}}}\nlayers: [{{id: \"{}\", relu: {{}}}}]\n",
        "$t".repeat(10_000)
    );
    write(&folder, "names.yaml", names);
    let texts = format!(
        "input: [3, 8, 8]\nvariables: {{t: {long}, l: [{}]}}\nlayers: [relu]\n",
        vec!["$t"; 10_000].join(", ")
    );
    write(&folder, "texts.yaml", texts);
    for (count, what) in [(10_000, "dense"), (100_000, "dense")] {
        write(
            &folder,
            &format!("{what}{count}.yaml"),
            format!(
                "input: [3, 8, 8]\nlayers:\n  - dense: {{times: {count}, body: [conv: {{out_channels: 1, kernel: 1}}]}}\n"
            ),
        );
    }
    for (file, limit) in [
        ("lists.yaml", "more than 2000000 elements"),
        ("texts.yaml", "more than 2000000 elements"),
        ("names.yaml", "a name of more than"),
        ("dense10000.yaml", "more than 2500000 connections"),
        ("dense100000.yaml", "more than 2500000 connections"),
    ] {
        let (status, out, errors) = limited(&folder, 1500, &["check", file]);
        assert_eq!(status, Some(1), "{file}: {errors}");
        assert!(out.contains("CK009") && out.contains(limit), "{file}: {out}");
        let (status, _, errors) = limited(&folder, 1500, &["params", file]);
        assert!(status == Some(2) && errors.contains(limit), "{file}: {errors}");
    }
    let (status, _, errors) = call(&folder, &["params", "fine.yaml"]);
    assert_eq!(status, Some(0), "{errors}");
}

#[cfg(target_os = "linux")]
#[test]
fn files_are_looked_at_before_they_are_read() {
    let folder = fresh("trust-sizes");
    write(&folder, ".git/HEAD", "");
    write(&folder, "net.yaml", NET);
    let huge = |name: &str| {
        let path = write(&folder, name, "");
        std::fs::File::create(path).and_then(|file| file.set_len(3 << 30)).expect("a sparse file");
    };
    let gone = |name: &str| std::fs::remove_file(folder.join(name)).expect("a file");
    huge("huge.yaml");
    let (status, out, errors) = limited(&folder, 1500, &["check", "huge.yaml"]);
    assert_eq!(status, Some(1), "{errors}");
    assert!(out.contains("3221225472 bytes, the limit is 8388608"), "{out}");
    let (status, out, errors) = limited(&folder, 1500, &["check", "."]);
    assert_eq!(status, Some(0), "{out}{errors}");
    gone("huge.yaml");
    write(&folder, "a.yaml", "include: [b.yaml]\ninput: [3, 8, 8]\nlayers: [relu]\n");
    huge("b.yaml");
    let (status, out, _) = limited(&folder, 1500, &["check", "a.yaml"]);
    assert!(status == Some(1) && out.contains("the limit is 8388608"), "{out}");
    gone("b.yaml");
    gone("a.yaml");
    huge("cnnkit.toml");
    let (status, _, errors) = limited(&folder, 1500, &["check"]);
    assert!(status == Some(2) && errors.contains("the limit is 1048576"), "{errors}");
    write(&folder, "cnnkit.toml", "baseline = \"base.json\"\n");
    huge("base.json");
    let (status, _, errors) = limited(&folder, 1500, &["check"]);
    assert!(status == Some(2) && errors.contains("the limit is 16777216"), "{errors}");
    gone("base.json");
    for outside in ["/dev/zero", "../base.json", "a/../../base.json"] {
        write(&folder, "cnnkit.toml", format!("baseline = \"{outside}\"\n"));
        for args in [&["check"][..], &["check", "--update-baseline"]] {
            let (status, _, errors) = limited(&folder, 1500, args);
            assert!(status == Some(2) && errors.contains("leads out of the project"), "{outside}: {errors}");
        }
    }
    assert!(!folder.join("../base.json").exists());
    write(&folder, "cnnkit.toml", "baseline = \"new/base.json\"\n");
    std::fs::create_dir(folder.join("new")).expect("a folder");
    let (status, out, errors) = limited(&folder, 1500, &["check", "--update-baseline"]);
    assert!(status == Some(0) && folder.join("new/base.json").exists(), "{out}{errors}");
}

#[cfg(target_os = "linux")]
#[test]
fn arrays_and_weights_that_claim_more_are_refused() {
    let folder = fresh("trust-arrays");
    write(&folder, "net.yaml", "input: [3, 5, 5]\nlayers: [conv: {out_channels: 2, kernel: 3}]\n");
    let npy = |shape: &str, data: usize| {
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.bytes());
        bytes.extend(vec![0; 4 * data]);
        bytes
    };
    for (name, shape, data, why) in [
        ("claim.npy", "(1000000, 1000000, 3)", 0, "and is"),
        ("zero.npy", "(0, 3, 5, 5)", 0, "a batch of 0 images"),
        ("none.npy", "(3, 0, 5)", 0, "the input is [3, 5, 5]"),
        ("other.npy", "(3, 5, 6)", 90, "the input is [3, 5, 5]"),
        ("short.npy", "(3, 5, 5)", 20, "and is"),
    ] {
        write(&folder, name, npy(shape, data));
        let (status, _, errors) = limited(&folder, 1500, &["run", "net.yaml", "--input", name]);
        assert!(status == Some(2) && errors.contains(why), "{name}: {errors}");
    }
    write(&folder, "right.npy", npy("(2, 3, 5, 5)", 150));
    let (status, _, errors) = call(&folder, &["run", "net.yaml", "--input", "right.npy"]);
    assert_eq!(status, Some(0), "{errors}");

    // An archive of 2 MB that inflates to 2 GB, beside the tensors that are wanted.
    let (status, _, errors) = call(&folder, &["run", "net.yaml", "--save-weights", "w.npz"]);
    assert_eq!(status, Some(0), "{errors}");
    let bytes = std::fs::read(folder.join("w.npz")).expect("weights");
    let mut archive = zip::ZipWriter::new_append(std::io::Cursor::new(bytes)).expect("an archive");
    let options = zip::write::SimpleFileOptions::default().large_file(true);
    archive.start_file("bomb.npy", options).expect("an entry");
    let zeros = vec![0u8; 1 << 20];
    for _ in 0..2048 {
        std::io::Write::write_all(&mut archive, &zeros).expect("zeros");
    }
    let bomb = archive.finish().expect("an archive").into_inner();
    write(&folder, "bomb.npz", bomb);
    let (status, _, errors) = limited(&folder, 1500, &["run", "net.yaml", "--weights", "bomb.npz"]);
    assert!(status == Some(2) && errors.contains("`bomb` belongs to no layer"), "{errors}");

    let (status, _, errors) = call(&folder, &["run", "net.yaml", "--save-weights", "w.safetensors"]);
    assert_eq!(status, Some(0), "{errors}");
    let (status, _, errors) = call(&folder, &["run", "net.yaml", "--weights", "w.safetensors"]);
    assert_eq!(status, Some(0), "{errors}");
    let mut bytes = std::fs::read(folder.join("w.safetensors")).expect("weights");
    bytes.truncate(bytes.len() - 8);
    write(&folder, "cut.safetensors", &bytes);
    bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    write(&folder, "claim.safetensors", &bytes);
    std::os::unix::fs::symlink("/dev/zero", folder.join("zero.safetensors")).expect("a link");
    for (file, why) in [("cut", "the file has"), ("claim", "its header has"), ("zero", "not a regular file")]
    {
        let file = format!("{file}.safetensors");
        let (status, _, errors) = limited(&folder, 1500, &["run", "net.yaml", "--weights", &file]);
        assert!(status == Some(2) && errors.contains(why), "{file}: {errors}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn pictures_are_bounded_by_their_pixels() {
    let folder = fresh("trust-pictures");
    write(&folder, "net.yaml", "input: [3, 8, 8]\nlayers: [relu]\n");
    let picture = |side: u32| {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, side, side);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header().expect("a header");
        let mut stream = writer.stream_writer().expect("a stream");
        let row = vec![0; side as usize];
        for _ in 0..side {
            std::io::Write::write_all(&mut stream, &row).expect("a row");
        }
        stream.finish().expect("a picture");
        drop(writer);
        bytes
    };
    write(&folder, "large.png", picture(10_000));
    let (status, _, errors) = limited(&folder, 1500, &["run", "net.yaml", "--input", "large.png"]);
    assert!(status == Some(2) && errors.contains("10000 x 10000 pixels, the limit is 67108864"), "{errors}");
    write(&folder, "small.png", picture(100));
    let (status, _, errors) = call(&folder, &["run", "net.yaml", "--input", "small.png"]);
    assert_eq!(status, Some(0), "{errors}");
}

#[cfg(target_os = "linux")]
#[test]
fn networks_beyond_the_memory_are_refused_by_every_command() {
    let folder = fresh("trust-memory");
    let spec = "input: [4000000]\nlayers: [linear: {out_features: 4000000}]\n";
    write(&folder, "net.yaml", spec);
    for args in [
        &["run", "net.yaml"][..],
        &["verify", "net.yaml"],
        &["verify", "net.yaml", "--thorough"],
        &["export", "net.yaml", "-o", "net.onnx"],
    ] {
        let (status, _, errors) = call(&folder, args);
        assert!(status == Some(2) && errors.contains("of memory, "), "{args:?}: {errors}");
    }
    let (status, out, errors) = call(&folder, &["check", "net.yaml", "--verify"]);
    assert!(status == Some(0) && out.contains("of memory,"), "{out}{errors}");
    assert!(!folder.join("net.onnx").exists() && !folder.join("net.onnx.data").exists());
}

#[cfg(unix)]
#[test]
fn links_show_nothing_outside_of_the_project() {
    use std::os::unix::fs::symlink;
    let outside = fresh("trust-outside");
    let secret = write(&outside, "secret", "SECRET=hunter2\n");
    let folder = fresh("trust-links");
    write(&folder, ".git/HEAD", "");
    write(&folder, "net.yaml", NET);
    symlink(&secret, folder.join("cnnkit.toml")).expect("a link");
    let (status, out, errors) = call(&folder, &["check", "net.yaml"]);
    assert!(status == Some(2) && errors.contains("leads out of the project"), "{errors}");
    assert!(!format!("{out}{errors}").contains("hunter2"));
    std::fs::remove_file(folder.join("cnnkit.toml")).expect("a link");
    symlink(&secret, folder.join("spec.yaml")).expect("a link");
    for command in ["check", "params"] {
        let (status, out, errors) = call(&folder, &[command, "spec.yaml"]);
        assert_ne!(status, Some(0));
        assert!(format!("{out}{errors}").contains("leads out of the project"), "{out}{errors}");
        assert!(!format!("{out}{errors}").contains("hunter2"));
    }
    // Links inside of the project are followed.
    symlink("net.yaml", folder.join("same.yaml")).expect("a link");
    assert_eq!(call(&folder, &["params", "same.yaml"]).0, Some(0));
    // A folder that is no project has no outside.
    let loose = fresh("trust-loose");
    symlink(folder.join("net.yaml"), loose.join("net.yaml")).expect("a link");
    assert!(
        loose.ancestors().any(|folder| folder.join(".git").exists())
            || call(&loose, &["params", "net.yaml"]).0 == Some(0)
    );
}

#[cfg(unix)]
#[test]
fn pipes_that_files_name_are_not_waited_for() {
    let folder = fresh("trust-pipes");
    let pipe = |name: &str| {
        let made = Command::new("mkfifo").arg(folder.join(name)).status();
        made.is_ok_and(|status| status.success())
    };
    if !pipe("pipe.yaml") || !pipe("base.json") {
        return;
    }
    write(&folder, "net.yaml", "include: [pipe.yaml]\ninput: [3, 8, 8]\nlayers: [relu]\n");
    let (status, out, _) = call(&folder, &["check", "net.yaml"]);
    assert!(status == Some(1) && out.contains("not a regular file"), "{out}");
    write(&folder, "net.yaml", NET);
    write(&folder, "cnnkit.toml", "baseline = \"base.json\"\n");
    let (status, _, errors) = call(&folder, &["check", "net.yaml"]);
    assert!(status == Some(2) && errors.contains("not a regular file"), "{errors}");
    let (status, _, errors) = call(&folder, &["run", "net.yaml", "--no-such"]);
    assert!(status == Some(2), "{errors}");
}

#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_written_is_an_error() {
    let folder = fresh("trust-full");
    write(&folder, "net.yaml", NET);
    let full =
        || Stdio::from(std::fs::OpenOptions::new().write(true).open("/dev/full").expect("a full device"));
    for args in [
        &["params", "net.yaml"][..],
        &["check", "net.yaml"],
        &["import", "net.yaml"],
        &["schema"],
        &["export", "net.yaml", "--format", "pytorch"],
        &["params", "net.yaml", "--format", "json"],
    ] {
        let output = cnnkit(args).current_dir(&folder).stdout(full()).output().expect("a call");
        let (status, _, errors) = text(&output);
        assert_eq!(status, Some(2), "{args:?}: {errors}");
        assert!(errors.contains("cannot write to standard output"), "{args:?}: {errors}");
    }
    let (status, _, errors) = call(&folder, &["params", "net.yaml", "-o", "/dev/full"]);
    assert!(status == Some(2) && errors.contains("cannot write `/dev/full`"), "{errors}");
    // The reader of a pipe may stop.
    let mut child = cnnkit(&["params", "zoo:resnet152", "--depth", "all"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a call");
    drop(child.stdout.take());
    let (status, _, errors) = text(&child.wait_with_output().expect("a call"));
    assert!(status == Some(0) && errors.is_empty(), "{errors}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_that_cannot_be_written_whole_stays_as_it_was() {
    let folder = fresh("trust-whole");
    let old = format!("{NET}expect: {{params: 1}}\n#{}\n", "x".repeat(1 << 20));
    write(&folder, "net.yaml", &old);
    write(&folder, "m.onnx", "old model");
    write(&folder, "w.npz", "old weights");
    write(&folder, "wide.yaml", "input: [64, 16, 16]\nlayers: [conv: {out_channels: 512, kernel: 3}]\n");
    // A limit on the size of files stands for a full disk; its signal is ignored, so that writes fail.
    let short = |args: &[&str]| {
        let mut command = Command::new("sh");
        let program = env!("CARGO_BIN_EXE_cnnkit");
        command.args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\"", program]).args(args);
        text(&command.current_dir(&folder).output().expect("a call"))
    };
    for args in [
        &["check", "net.yaml", "--update"][..],
        &["export", "wide.yaml", "-o", "m.onnx"],
        &["run", "wide.yaml", "--save-weights", "w.npz"],
    ] {
        let (status, _, errors) = short(args);
        assert_eq!(status, Some(2), "{args:?}: {errors}");
        assert!(errors.contains("cannot write") && errors.lines().count() <= 3, "{args:?}: {errors}");
        assert!(!errors.contains("ZipWriter"), "{errors}");
    }
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("a file");
    assert!(read("net.yaml") == old && read("m.onnx") == "old model" && read("w.npz") == "old weights");
    let left: Vec<_> = std::fs::read_dir(&folder).expect("a folder").flatten().collect();
    assert_eq!(left.len(), 4, "{left:?}");
    let (status, out, errors) = call(&folder, &["check", "net.yaml", "--update"]);
    assert!(status == Some(0) && read("net.yaml").contains("params: 112"), "{out}{errors}");
}

#[test]
fn fixes_of_several_files_are_written_together_or_not_at_all() {
    let folder = fresh("trust-together");
    let flawed = "input: [3, 16, 16]\nlayers:\n  - conv: {out_channels: 4, kernel: 3}\n  - relu\n  - relu\n";
    for name in ["a.yaml", "b.yaml", "c.yaml"] {
        write(&folder, name, flawed);
    }
    let calls: Vec<_> = (0..4)
        .map(|_| {
            let mut command = cnnkit(&["check", "--fix", "a.yaml", "b.yaml", "c.yaml"]);
            command
                .current_dir(&folder)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("a call")
        })
        .collect();
    for child in calls {
        let (status, _, errors) = text(&child.wait_with_output().expect("a call"));
        let honest = errors.contains("changed meanwhile") || errors.is_empty();
        assert!(matches!(status, Some(0..=2)) && honest, "{status:?} {errors}");
        assert!(!errors.contains("report this spec as a bug"), "{errors}");
    }
    let (status, out, errors) = call(&folder, &["check", "--fix", "a.yaml", "b.yaml", "c.yaml"]);
    assert_eq!(status, Some(0), "{out}{errors}");
    for name in ["a.yaml", "b.yaml", "c.yaml"] {
        let text = std::fs::read_to_string(folder.join(name)).expect("a file");
        assert_eq!(text.matches("- relu\n").count(), 1, "{name}: {text}");
    }
}

#[cfg(unix)]
#[test]
fn git_runs_nothing_of_a_hostile_repository() {
    let folder = fresh("trust-git");
    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]).args(args);
        command.current_dir(&folder).output().is_ok_and(|output| output.status.success())
    };
    if !git(&["init", "-q"]) {
        return;
    }
    write(&folder, "net.yaml", NET);
    write(&folder, "large.yaml", format!("{NET}#{}\n", "x".repeat(9 << 20)));
    write(&folder, ".gitattributes", "*.yaml diff=evil filter=evil\n");
    assert!(git(&["add", "net.yaml", ".gitattributes", "large.yaml"]) && git(&["commit", "-qm", "a"]));
    let evil = write(&folder, "evil.sh", "#!/bin/sh\ntouch \"$(dirname \"$0\")/PWNED\"\ncat\n");
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(&evil, std::fs::Permissions::from_mode(0o755)).expect("permissions");
    let evil = evil.to_string_lossy();
    let config = format!(
        "[core]\n repositoryformatversion = 0\n fsmonitor = {evil}\n pager = {evil}\n sshCommand = {evil}\n askPass = {evil}\n\
         [gpg]\n program = {evil}\n[log]\n showSignature = true\n[diff \"evil\"]\n textconv = {evil}\n command = {evil}\n\
         [filter \"evil\"]\n smudge = {evil}\n clean = {evil}\n[protocol \"ext\"]\n allow = always\n\
         [remote \"origin\"]\n url = ext::{evil}\n promisor = true\n[alias]\n cat-file = !{evil}\n rev-parse = !{evil}\n\
         [extensions]\n partialClone = origin\n"
    );
    write(&folder, ".git/config", config);
    write(&folder, "net.yaml", NET.replace("kernel: 3", "kernel: 5"));
    let (status, out, errors) = call(&folder, &["diff", "--git", "HEAD", "net.yaml"]);
    assert!(status == Some(0) && out.contains("params"), "{out}{errors}");
    for (args, why) in [
        (["--git", "^HEAD", "net.yaml"], "is not one revision"),
        (["--git", "HEAD", "large.yaml"], "the limit is 8388608"),
        (["--git", "HEAD", "missing.yaml"], "neither now nor at the revision"),
        (["--git", "--output=x", "net.yaml"], ""),
    ] {
        let (status, _, errors) = call(&folder, &[&["diff"][..], &args].concat());
        assert!(status == Some(2) && errors.contains(why), "{args:?}: {errors}");
    }
    assert!(!folder.join("PWNED").exists(), "a program of the repository ran");
}

#[cfg(unix)]
#[test]
fn folders_that_cannot_be_searched_are_said() {
    use std::os::unix::ffi::OsStrExt as _;
    let folder = fresh("trust-search");
    write(&folder, "net.yaml", NET);
    let odd = folder.join(std::ffi::OsStr::from_bytes(b"a\xff.yaml"));
    if std::fs::write(&odd, NET).is_ok() {
        let (status, _, errors) = call(&folder, &["check", "."]);
        assert!(status == Some(2) && errors.contains("is not UTF-8"), "{errors}");
        std::fs::remove_file(&odd).expect("a file");
    }
    assert_eq!(call(&folder, &["check", "."]).0, Some(0));
}

#[test]
fn outputs_do_not_take_files_from_each_other() {
    let folder = fresh("trust-outputs");
    write(&folder, "net.yaml", NET);
    let (status, out, _) = call(&folder, &["params", "net.yaml", "-o", "-"]);
    assert!(status == Some(0) && out.contains("params") && !folder.join("-").exists(), "{out}");
    for args in [
        ["--output", "json=x", "--output", "csv=x"],
        ["-o", "x", "--output", "json=x"],
        ["--output", "json=-", "--output", "csv=-"],
    ] {
        let (status, _, errors) = call(&folder, &[&["params", "net.yaml"][..], &args].concat());
        assert!(status == Some(2) && errors.contains("output"), "{errors}");
        assert!(!folder.join("x").exists() && !folder.join("-").exists());
    }
    let mut command = cnnkit(&["check", "net.yaml", "zoo:resnet18"]);
    let output = command.env("RAYON_NUM_THREADS", "60000").current_dir(&folder).output().expect("a call");
    assert_eq!(output.status.code(), Some(0));
}

/// Specs of which each part is checked against all others: the time must not grow with the square.
#[cfg(target_os = "linux")]
#[test]
fn large_specs_are_checked_or_refused_in_bounded_memory() {
    let folder = fresh("trust-large");
    let list =
        |count: usize, item: &dyn Fn(usize) -> String| (0..count).map(item).collect::<Vec<_>>().concat();
    let body = "input: [3, 16, 16]\nlayers: [relu]\n";
    let specs = [
        ("variables", format!("variables:\n{}{body}", list(60_000, &|n| format!("  v{n}: {n}\n")))),
        ("unknown", format!("variables:\n{}{body}", list(60_000, &|n| format!("  v{n}: $w{n}\n")))),
        (
            "chain",
            format!("variables:\n  v0: 1\n{}{body}", list(60_000, &|n| format!("  v{}: $v{n} + 1\n", n + 1))),
        ),
        ("blocks", format!("blocks:\n{}{body}", list(40_000, &|n| format!("  b{n}: [relu]\n")))),
        (
            "line",
            format!(
                "{{blocks: {{{}}}, input: [3, 8, 8], layers: [relu]}}\n",
                list(40_000, &|n| format!("b{n}: [relu], "))
            ),
        ),
        (
            "expect",
            format!("{body}expect:\n  nodes:\n{}", list(40_000, &|n| format!("    id{n}: {{params: 1}}\n"))),
        ),
        (
            "references",
            format!(
                "input: [3, 16, 16]\nlayers:\n{}",
                list(40_000, &|n| format!("  - {{relu: {{}}, from: id{n}}}\n"))
            ),
        ),
        ("comments", format!("{body}{}", list(100_000, &|n| format!("# cnnkit: ignore[CK3{n}] x\n")))),
        (
            "suppressed",
            format!(
                "input: [3, 16, 16]\nlayers:\n{}",
                list(20_000, &|_| "  - relu # cnnkit: ignore[CK403] on purpose\n".into())
            ),
        ),
        ("relus", format!("input: [3, 16, 16]\nlayers: [{}relu]\n", list(40_000, &|_| "relu, ".into()))),
        (
            "branches",
            format!(
                "input: [3, 16, 16]\nlayers:\n  - branches: {{paths: [{}[]]}}\n",
                list(5_000, &|_| "[relu], ".into())
            ),
        ),
    ];
    for (name, spec) in specs {
        let file = format!("{name}.yaml");
        write(&folder, &file, &spec);
        let (status, out, errors) = limited(&folder, 1500, &["check", &file, "--select", "all"]);
        assert!(matches!(status, Some(0 | 1)), "{name}: {status:?} {errors}");
        assert!(out.len() < 8 << 20, "{name} prints {} bytes", out.len());
        std::fs::remove_file(folder.join(&file)).expect("a file");
    }
}
