//! CSV as pandas reads it: one table per call, unique names, plain numbers, an empty field for what is missing.

use crate::support::program::{call, run};

/// Calls of every command that writes CSV, each with one of its tables; none for the first.
const CALLS: &[(&str, &[&str])] = &[
    ("params zoo:resnet18", &["layers", "figures", "memory"]),
    ("params zoo:resnet18 zoo:bottleneck --convention thop", &["layers", "figures", "convention"]),
    ("compare zoo:bottleneck-plain zoo:bottleneck", &["networks"]),
    ("rf zoo:residual --exact --effective", &["layers", "supports"]),
    ("sizes zoo:unet --near 500", &["axes", "near"]),
    ("tile zoo:context_module_basic --image 400 --tile 200", &["axes", "figures"]),
    ("tile zoo:squeeze-excite", &["axes", "figures"]),
    ("stream zoo:tcn --rate 16000", &["figures", "buffers"]),
    ("channels zoo:group-conv", &["outputs"]),
    ("channels zoo:shuffle-unit-plain", &["outputs", "seams"]),
    ("paths zoo:residual", &["figures", "fields"]),
    ("paths zoo:dense", &["figures", "fields", "dense_blocks"]),
    ("graph zoo:bottleneck", &["nodes"]),
    ("gridding 2,2,2 --steps --verify", &["steps", "figures", "claims"]),
    ("gridding zoo:dilated-sawtooth", &["chains", "figures", "outputs", "taps"]),
    ("hdc-check 2,2,3 --explain", &["verdicts", "distances", "bounds", "proposals"]),
    ("hdc-check zoo:dilated-sawtooth", &["verdicts", "distances"]),
    ("hdc-design --layers 3 --max-rate 9", &["designs"]),
    ("hdc-design --survey 3,6", &["survey", "figures"]),
    ("run zoo:bottleneck --input 256,8,8 --profile", &["outputs", "layers", "figures"]),
    ("demo", &["demos"]),
    ("demo small-kernels", &["facts"]),
    ("diff zoo:bottleneck-plain zoo:bottleneck", &["quantities", "blocks"]),
    ("check specs/techniques --select all --exit-zero", &["findings"]),
    ("rules", &["rules"]),
    ("explain CK301", &["rules"]),
    ("layers", &["layers"]),
    ("layers conv", &["arguments"]),
    ("zoo", &["specs"]),
];

/// Reads records as RFC 4180 has them.
fn records(text: &str) -> Vec<Vec<String>> {
    let (mut all, mut record, mut field) = (Vec::new(), Vec::new(), String::new());
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => field.extend(chars.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => record.push(std::mem::take(&mut field)),
            '\n' if !quoted => {
                record.push(std::mem::take(&mut field));
                all.push(std::mem::take(&mut record));
            }
            c => field.push(c),
        }
    }
    assert!(!quoted && field.is_empty(), "the file ends inside a record");
    all
}

fn csv(words: &str, table: &str) -> Vec<Vec<String>> {
    let words: Vec<&str> = words.split(' ').chain(["--format", "csv", "--table", table]).collect();
    let (status, out, errors) = call(&words);
    assert!(matches!(status, Some(0 | 1)), "{words:?}: {errors}");
    records(&out)
}

/// Whether a field is a number written for people: grouped, with a unit, or with a sign in front.
fn for_people(field: &str) -> bool {
    let rest = field.strip_prefix(['+', '-']).unwrap_or(field);
    let number = rest.chars().next().is_some_and(|c| c.is_ascii_digit());
    let grouped =
        number && rest.contains(',') && rest.bytes().all(|b| b.is_ascii_digit() || b",.".contains(&b));
    let unit = [" %", " k", " M", " G", " KiB", " MiB", " GiB", "x", " ms"].iter().any(|unit| {
        rest.strip_suffix(unit).is_some_and(|number| !number.is_empty() && number.parse::<f64>().is_ok())
    });
    // `1,2,5` is a list of rates.
    let rates = rest.split(',').all(|part| part.len() < 3);
    (grouped && !rates) || unit || (field.starts_with('+') && number)
}

#[test]
fn every_table_has_unique_names_and_plain_numbers() {
    for (words, tables) in CALLS {
        for table in *tables {
            let records = csv(words, table);
            let (header, rows) = records.split_first().expect("a header");
            let mut names = header.clone();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), header.len(), "{words} {table}: {header:?}");
            assert!(header.iter().all(|name| !name.trim().is_empty()), "{words} {table}: {header:?}");
            for row in rows {
                assert_eq!(row.len(), header.len(), "{words} {table}: {row:?}");
                let wrong = row.iter().find(|field| *field == "-" || for_people(field));
                assert_eq!(wrong, None, "{words} {table}: {row:?}");
            }
        }
    }
}

#[test]
fn without_a_name_the_first_table_is_written() {
    for (words, tables) in CALLS.iter().step_by(5) {
        let all: Vec<&str> = words.split(' ').chain(["--format", "csv"]).collect();
        assert_eq!(records(&call(&all).1), csv(words, tables[0]), "{words}");
    }
}

/// The column `name`, each field as a number.
fn numbers(records: &[Vec<String>], name: &str) -> Vec<f64> {
    let at = records[0].iter().position(|header| header == name).expect("the column");
    records[1..].iter().map(|row| row[at].parse().expect("a number")).collect()
}

#[test]
fn columns_add_up_to_the_totals() {
    let layers = csv("params zoo:resnet18 --depth all", "layers");
    assert_eq!(numbers(&layers, "params").iter().sum::<f64>(), 11_689_512.0);
    assert_eq!(numbers(&csv("params zoo:resnet18", "figures"), "parameters"), [11_689_512.0]);
    let networks = csv("compare zoo:bottleneck-plain zoo:bottleneck", "networks");
    assert_eq!(numbers(&networks, "params"), [589_824.0, 69_632.0]);
    assert_eq!(numbers(&networks, "RF"), [3.0, 3.0]);
    let change = csv("diff zoo:bottleneck-plain zoo:bottleneck", "blocks");
    assert!(numbers(&change, "params change").contains(&-573_440.0), "{change:?}");
}

#[test]
fn several_networks_are_one_table_with_a_column_for_the_spec() {
    let records = csv("params zoo:bottleneck-plain zoo:bottleneck", "figures");
    assert_eq!(records[0][0], "spec");
    assert_eq!([&records[1][0], &records[2][0]], ["zoo:bottleneck-plain", "zoo:bottleneck"]);
}

#[test]
fn an_unknown_table_is_an_error_that_names_the_known_ones() {
    let (status, out, errors) = call(&["params", "zoo:bottleneck", "--format", "csv", "--table", "nothing"]);
    assert_eq!((status, out.as_str()), (Some(2), ""));
    assert!(errors.contains("its tables are layers, figures, memory"), "{errors}");
    assert_eq!(
        run(&["params", "zoo:bottleneck", "--format", "json", "--table", "layers"]).status.code(),
        Some(2)
    );
}
