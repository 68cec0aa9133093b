//! Gridding and HDC against brute force by real convolutions, published values, plain loops, and hostile input.

use std::collections::BTreeMap;

use cnnkit::analysis::gridding::{Gridding, Layer, Stack, criterion};
use cnnkit::analysis::hdc::{Check, distances};
use cnnkit::analysis::offsets::Offsets;
use cnnkit::analysis::taps::Taps;
use num_bigint::BigUint;
use proptest::prelude::*;
use serde_json::Value;

use crate::support::program::{call as cnnkit, json_and_status as json};

fn numbers(value: &Value) -> Vec<u64> {
    value.as_array().expect("a list").iter().map(|v| v.as_u64().expect("a number")).collect()
}

#[test]
fn every_case_of_the_convolution_oracle() {
    let text = include_str!("../data/gridding.json");
    let data: Value = serde_json::from_str(text).expect("json");
    let cases = data["cases"].as_array().expect("cases");
    assert_eq!(cases.len(), 200);
    for case in cases {
        let id = &case["id"];
        let list = |key: &str| case[key].as_array().expect(key).iter().map(numbers).collect::<Vec<_>>();
        let (kernels, rates, strides) = (list("kernels"), list("rates"), list("strides"));
        let layers = kernels.iter().zip(&rates).zip(&strides).map(|((kernel, rate), stride)| Layer {
            kernel: kernel.clone(),
            rate: rate.clone(),
            stride: stride.clone(),
        });
        let facts = Gridding::of(&Stack::new(2, layers.collect()).expect("valid")).expect("small");
        assert_eq!(facts.size(), numbers(&case["size"]), "{id}");
        assert_eq!(
            facts.axes.iter().map(|axis| axis.jump).collect::<Vec<_>>(),
            numbers(&case["jump"]),
            "{id}"
        );
        assert_eq!(facts.covered(), case["covered"].as_u64().expect("covered").into(), "{id}");
        assert_eq!(facts.paths(), case["paths"].as_u64().expect("paths").into(), "{id}");
        let gaps: Vec<u64> = facts.axes.iter().map(|axis| axis.offsets.max_gap()).collect();
        // A single position has no gap: the oracle calls that 0, the contract 1 (no hole).
        assert_eq!(gaps, numbers(&case["gaps"]).iter().map(|&gap| gap.max(1)).collect::<Vec<_>>(), "{id}");
        for (line, expected) in facts.multiplicities().expect("small").iter().zip(list("lines")) {
            assert_eq!(
                line.iter().collect::<Vec<_>>(),
                expected.iter().map(|&n| n.into()).collect::<Vec<BigUint>>(),
                "{id}"
            );
        }
        if let Some(m) = case.get("m") {
            let rates: Vec<u64> = rates.iter().map(|rate| rate[0]).collect();
            assert_eq!(distances(&rates).iter().map(|d| d.m).collect::<Vec<_>>(), numbers(m), "{id}");
            let rule = Check::of(kernels[0][0], &[rates], 2).expect("valid").rule;
            if rule.groups.len() == 1 {
                assert_eq!(Some(rule.groups[0].m2_ok), case["m2_ok"].as_bool(), "{id}");
            }
        }
    }
}

#[test]
fn published_schedules() {
    // rates, M_1..M_n (Wang et al. 2018, 3.2), hole-free, largest gap, receptive field; K = 3. 1,1,2,4,8,16,1 is the
    // context module of Yu & Koltun 2016 (table 1: 67); 5,9,17 is res5b of the released HDC network.
    type Schedule<'a> = (&'a [u64], &'a [u64], bool, u64, u64);
    let table: [Schedule; 15] = [
        (&[1, 2, 3], &[1, 2, 3], true, 1, 13),
        (&[1, 2, 5], &[1, 2, 5], true, 1, 17),
        (&[1, 2, 9], &[3, 5, 9], false, 3, 25),
        (&[2, 4, 6], &[2, 4, 6], false, 2, 25),
        (&[2, 2, 2], &[2, 2, 2], false, 2, 13),
        (&[1, 2, 4], &[1, 2, 4], true, 1, 15),
        (&[1, 3, 9], &[1, 3, 9], true, 1, 27),
        (&[1, 2, 5, 9], &[1, 2, 5, 9], true, 1, 35),
        (&[3, 4, 5], &[3, 4, 5], false, 3, 25),
        (&[5, 9, 17], &[5, 9, 17], false, 5, 63),
        (&[1, 1, 2, 4, 8, 16, 1], &[1, 1, 3, 7, 15, 31, 1], true, 1, 67),
        (&[1, 3, 1], &[3, 5, 1], true, 1, 11),
        (&[1, 3, 2], &[2, 4, 2], true, 1, 13),
        (&[2, 2, 3], &[2, 2, 3], false, 2, 15),
        (&[1, 2, 4, 8, 1], &[1, 3, 7, 15, 1], true, 1, 33),
    ];
    for (rates, m, hole_free, gap, size) in table {
        let check = Check::of(3, &[rates.to_vec()], 2).expect("valid");
        assert_eq!(distances(rates).iter().map(|d| d.m).collect::<Vec<_>>(), m, "{rates:?}");
        assert_eq!(check.exact.hole_free(), hole_free, "{rates:?}");
        assert_eq!((check.exact.max_gap(), check.exact.size()[0]), (gap, size), "{rates:?}");
    }
}

#[test]
fn the_context_module_grows_as_published() {
    // Yu & Koltun 2016, table 1.
    let rates = [1, 1, 2, 4, 8, 16, 1];
    for (layers, size) in [3, 5, 9, 17, 33, 65, 67].into_iter().enumerate() {
        let facts = Gridding::of(&Stack::uniform(3, &rates[..=layers], 2).expect("valid")).expect("small");
        assert_eq!(facts.size(), [size, size]);
    }
}

/// Computes multiplicities by following every tap: a map from position to count; shares no code with the analysis.
fn followed(layers: &[(u64, u64, u64)]) -> BTreeMap<u64, u64> {
    let mut reached = BTreeMap::from([(0, 1)]);
    let mut jump = 1;
    for &(kernel, rate, stride) in layers {
        let mut next = BTreeMap::new();
        for (position, count) in reached {
            for tap in 0..kernel {
                *next.entry(position + tap * rate * jump).or_insert(0) += count;
            }
        }
        reached = next;
        jump *= stride;
    }
    reached
}

/// Classes of outputs by joining those that share an input, on a stretch long enough for the pattern to repeat.
fn classes(reach: &[u64], jump: u64) -> Option<usize> {
    let span = reach.last().copied().unwrap_or(0);
    let outputs = 6 * (span / jump + 2) as usize;
    let mut class: Vec<usize> = (0..outputs).collect();
    let mut shared = false;
    for a in 0..outputs {
        for b in a + 1..outputs.min(a + (span / jump) as usize + 1) {
            let shift = (b - a) as u64 * jump;
            if reach.iter().any(|x| reach.binary_search(&(x + shift)).is_ok()) {
                shared = true;
                let (from, to) = (class[b], class[a]);
                class.iter_mut().filter(|c| **c == from).for_each(|c| *c = to);
            }
        }
    }
    // Only the middle: at the ends of the stretch the links are missing.
    let mut middle: Vec<usize> = class[outputs / 3..2 * outputs / 3].to_vec();
    middle.sort_unstable();
    middle.dedup();
    shared.then_some(middle.len())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn brute_force_agrees(layers in prop::collection::vec((1u64..6, 1u64..9, 1u64..4), 1..5)) {
        let reached = followed(&layers);
        let stack = layers.iter().map(|&(k, r, s)| Layer { kernel: vec![k], rate: vec![r], stride: vec![s] });
        let facts = Gridding::of(&Stack::new(1, stack.collect()).expect("valid")).expect("small");
        let positions: Vec<u64> = reached.keys().copied().collect();
        prop_assert_eq!(facts.axes[0].offsets.to_vec(), positions.clone());
        let size = positions.last().expect("one") + 1;
        prop_assert_eq!(facts.size(), vec![size]);
        prop_assert_eq!(facts.hole_free(), positions.len() as u64 == size);
        let gap = positions.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(1);
        prop_assert_eq!(facts.max_gap(), gap);
        let line = &facts.multiplicities().expect("small")[0];
        for x in 0..size {
            prop_assert_eq!(line.at(x), BigUint::from(reached.get(&x).copied().unwrap_or(0)));
        }
        let bounds = criterion(&facts.axes[0].combs).expect("small");
        prop_assert_eq!(bounds.iter().all(|bound| bound.holds()), facts.hole_free());
    }

    #[test]
    fn sub_grids_are_the_classes_found_by_joining(
        layers in prop::collection::vec((1u64..4, 1u64..5, 1u64..4), 1..4)
    ) {
        let reach: Vec<u64> = followed(&layers).keys().copied().collect();
        let stack = layers.iter().map(|&(k, r, s)| Layer { kernel: vec![k], rate: vec![r], stride: vec![s] });
        let facts = Gridding::of(&Stack::new(1, stack.collect()).expect("valid")).expect("small");
        let jump = facts.axes[0].jump;
        let expected = classes(&reach, jump).map(BigUint::from);
        prop_assert_eq!(facts.sub_grids(), expected);
    }

    #[test]
    fn the_order_of_the_layers_does_not_matter(
        layers in prop::collection::vec((1u64..6, 1u64..40), 1..8).prop_shuffle(),
        turn in 0usize..8,
    ) {
        let combs: Vec<Taps> = layers.iter().map(|&(taps, step)| Taps { step, taps }).collect();
        let mut turned = combs.clone();
        turned.rotate_left(turn % combs.len());
        prop_assert_eq!(Offsets::of(&combs), Offsets::of(&turned));
    }
}

#[test]
fn a_million_positions_an_axis() {
    // 8 layers around 62,500: sparse runs; and 999 distinct rates without a common divisor: dense, with ragged ends.
    let sparse: Vec<u64> = (0..8).map(|i| 62_500 + 3 * i).collect();
    let dense: Vec<u64> = (2..=1000).collect();
    for (rates, wide) in [(sparse, 1_000_169), (dense, 1_000_999)] {
        let facts = Gridding::of(&Stack::uniform(3, &rates, 2).expect("valid")).expect("fits");
        assert_eq!(facts.size(), [wide, wide]);
        assert!(!facts.hole_free());
        assert_eq!(facts.total(), BigUint::from(wide) * BigUint::from(wide));
        let covered = facts.axes[0].offsets.covered();
        assert_eq!(facts.covered(), BigUint::from(covered) * BigUint::from(covered));
    }
}

#[test]
fn the_calls_of_the_contract() {
    let (code, out) = json(&["gridding", "2,2,2"]);
    assert_eq!(code, Some(0));
    assert_eq!((&out["schema"], &out["command"]), (&1.into(), &"gridding".into()));
    assert_eq!((&out["kernel"], &out["axes"]), (&3.into(), &2.into()));
    assert_eq!((&out["covered"], &out["total"]), (&49.into(), &169.into()));
    assert_eq!((&out["max_gap"], &out["hole_free"]), (&2.into(), &false.into()));
    assert_eq!(out["sub_grids"], 4);
    assert_eq!(numbers(&out["multiplicity"][0]), [1, 0, 3, 0, 6, 0, 7, 0, 6, 0, 3, 0, 1]);
    let (code, out) = json(&["hdc-check", "1,2,5"]);
    assert_eq!(code, Some(0));
    assert_eq!((&out["rule_ok"], &out["agrees"], &out["ok"]), (&true.into(), &true.into(), &true.into()));
    assert_eq!(numbers(&out["groups"][0]["m"]), [1, 2, 5]);
}

#[test]
fn what_is_required_decides_the_exit_status() {
    for (rates, strict, code) in [
        ("2,2,3", "rule", 0),
        ("2,2,3", "exact", 1),
        ("2,2,3", "both", 1),
        ("1,4,2", "rule", 1),
        ("1,4,2", "exact", 0),
        ("1,4,2", "both", 1),
        ("1,2,5,1,2,5", "both", 0),
        ("1,2,5/1,2,5", "both", 0),
        ("2,4,6", "both", 1),
    ] {
        for format in ["table", "json", "csv", "markdown"] {
            let (found, ..) = cnnkit(&["hdc-check", rates, "--require", strict, "--format", format]);
            assert_eq!(found, Some(code), "{rates} --require {strict} --format {format}");
        }
    }
    assert_eq!(cnnkit(&["hdc-check", "2,2,2", "--exit-zero"]).0, Some(0));
    // The option's former name, which `--help` no longer shows.
    assert_eq!(cnnkit(&["hdc-check", "2,2,3", "--strict", "rule"]).0, Some(0));
}

#[test]
fn the_disagreements_are_said_in_a_sentence() {
    let (_, out) = json(&["hdc-check", "2,2,3"]);
    assert_eq!(out["difference"], "the rule passes, yet 2 of 15 positions per axis are never read");
    let (_, out) = json(&["hdc-check", "1,4,2"]);
    assert_eq!(out["difference"], "the rule fails (M_2 = 6 > 3), yet nothing is missed");
}

#[test]
fn multiplicities_are_exact_integers_of_any_size() {
    let rates = vec!["1"; 60].join(",");
    let (_, out) = json(&["gridding", &rates, "--axes", "1"]);
    let line = out["multiplicity"][0].as_array().expect("a line");
    let total: BigUint = line.iter().map(|n| n.to_string().parse::<BigUint>().expect("an integer")).sum();
    assert_eq!(total, BigUint::from(3u8).pow(60));
    assert_eq!(out["paths"].to_string(), total.to_string());
}

#[test]
fn wide_lines_are_left_out_openly() {
    let (code, out) = json(&["gridding", "1,100000"]);
    assert_eq!(code, Some(0));
    assert_eq!((&out["multiplicity"], &out["status"]), (&Value::Null, &"partial".into()));
    assert!(out["left_out"][0].as_str().expect("why").contains("--multiplicity"));
    let (_, out) = json(&["gridding", "1,100000", "--multiplicity", "--axes", "1"]);
    assert_eq!(out["multiplicity"][0].as_array().expect("a line").len(), 200_003);
}

#[test]
fn bad_calls_say_what_is_wrong() {
    for (args, words) in [
        (&["gridding", "2,x,2"][..], "RATES:1:3"),
        (&["gridding", "2,,2"], "a number is missing"),
        (&["gridding", "2,0"], "less than 1"),
        (&["gridding", ""], "a number is missing"),
        (&["gridding", "2,99999999999999999999999"], "more than 64 bits"),
        (&["gridding", "2,2", "--kernels", "3,3,3"], "3 kernels for 2 rates"),
        (&["gridding", "2x2,2x2x2"], "has 2 axes, not 3"),
        (&["gridding", "18446744073709551615"], "2^62"),
        (&["gridding", "9223372036854775807,2", "--strides", "9,9"], "not supported"),
        (&["gridding", "1,3", "--kernels", "2,1000000000"], "not supported"),
        (&["gridding", "1", "--kernel", "2147483647", "--multiplicity"], "at most 4,194,304 are listed"),
        (&["gridding", "1,1000000000000", "--multiplicity"], "not supported"),
        (&["gridding", "2", "--plot", "map.bmp"], ".svg or .png"),
        (&["gridding", "nowhere.yaml"], "there is no such file"),
        (&["gridding", "zoo:dilated", "--kernel", "5"], "--kernel is for a list of rates"),
        (&["hdc-check", "1x2,2"], "one rate per layer"),
        (&["hdc-check", "1,2", "--kernel", "0"], "0 is not in"),
        (&["hdc-design", "--layers", "30"], "not supported"),
        (&["hdc-design", "--survey", "9,99"], "not supported"),
        (&["hdc-design", "--max-rate", "0"], "largest rate of 0"),
    ] {
        let (code, out, err) = cnnkit(args);
        assert_eq!(code, Some(2), "{args:?}: {out}{err}");
        assert!(err.contains(words) && err.contains("error"), "{args:?}: {err}");
        assert!(!err.contains("panicked"), "{args:?}: {err}");
    }
}

#[test]
fn hostile_but_valid_calls_come_back() {
    let many = vec!["7"; 20_000].join(",");
    for args in [
        &["gridding", "1,1000000000000"][..],
        &["gridding", "1000000000000,999999999999"],
        &["gridding", "2", "--kernel", "1000000000000", "--strides", "2"],
        &["gridding", &many],
        &["hdc-check", "1,1000000000000,3"],
        &["hdc-check", &many],
        &["hdc-check", "2,4", "--kernel", "1"],
    ] {
        let (code, _, err) = cnnkit(args);
        assert!(matches!(code, Some(0 | 1)), "{}: {err}", args[1].chars().take(40).collect::<String>());
    }
}

#[test]
fn pictures_are_written() {
    let folder = std::env::temp_dir().join(format!("cnnkit-gridding-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    for (name, magic) in [("map.svg", &b"<svg"[..]), ("map.png", &b"\x89PNG"[..])] {
        let file = folder.join(name);
        let (code, ..) =
            cnnkit(&["gridding", "2,2,2", "--steps", "-q", "--plot", file.to_str().expect("utf-8")]);
        assert_eq!(code, Some(0));
        assert!(std::fs::read(&file).expect("written").starts_with(magic));
    }
    std::fs::remove_dir_all(&folder).expect("removed");
}

#[test]
fn the_design_search_knows_the_published_schedules() {
    let (code, out) = json(&["hdc-design", "--layers", "3", "--max-rate", "12"]);
    assert_eq!(code, Some(0));
    assert_eq!(numbers(&out["front"][0]["rates"]), [1, 3, 9]);
    let known = out["known"].as_array().expect("known").iter();
    let places: Vec<(Vec<u64>, &Value)> =
        known.map(|design| (numbers(&design["rates"]), &design["place"])).collect();
    assert!(places.contains(&(vec![1, 2, 5], &"surpassed by".into())), "{places:?}");
    assert!(places.contains(&(vec![1, 3, 9], &"on the front".into())), "{places:?}");
    let (_, out) = json(&["hdc-design", "--survey", "3,12"]);
    assert_eq!((&out["survey"]["rule_only"], &out["survey"]["exact_only"]), (&151.into(), &38.into()));
}
