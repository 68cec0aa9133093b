//! Random specs: nothing panics, everything is deterministic, and the language's identities hold.

use proptest::prelude::*;

use cnnkit::analysis::totals;
use cnnkit::diagnostic::Rejected;
use cnnkit::export::{same, yaml};
use cnnkit::graph::Graph;
use cnnkit::spec::{self, Overrides, files::Text};

fn load(text: &str) -> Result<Graph, String> {
    let files = Text { name: "random".into(), bytes: text.into() };
    match spec::load(&files, "random", &Overrides::default()) {
        Ok(loaded) => Ok(loaded.graph),
        Err(rejected) => {
            let Rejected { sources, flaws: list } = *rejected;
            assert!(!list.is_empty(), "rejected without an error:\n{text}");
            // Drawing an error must not panic either.
            let canvas = cnnkit::render::Canvas { width: 60, color: true, tables: true };
            Err(cnnkit::render::diagnostics::render(&list, &sources, canvas))
        }
    }
}

fn network(input: &str, blocks: &str, layers: &str) -> String {
    format!("{{input: {input}, blocks: {{{blocks}}}, layers: [{layers}]}}")
}

/// Layers that may or may not fit: the generator follows the language, not the shapes.
fn layers() -> impl Strategy<Value = String> {
    let number = prop_oneof![0u64..9, Just(64), Just(u64::MAX), Just(1 << 40)];
    let leaf = prop_oneof![
        (number.clone(), 0u64..6, 0u64..4, 0u64..4, 0u64..4, number.clone()).prop_map(|(c, k, s, p, d, g)| format!(
            "conv: {{out_channels: {c}, kernel: {k}, stride: {s}, padding: {p}, dilation: {d}, groups: {g}}}"
        )),
        (1u64..9, 1u64..4).prop_map(|(c, k)| format!("conv: {{out_channels: {c}, kernel: {k}, padding: same}}")),
        (0u64..4, 0u64..4).prop_map(|(k, p)| format!("max_pool: {{kernel: {k}, padding: {p}}}")),
        number.prop_map(|n| format!("linear: {{out_features: {n}}}")),
        Just("batch_norm".to_owned()),
        Just("relu".to_owned()),
        Just("flatten".to_owned()),
        Just("global_avg_pool".to_owned()),
        Just("thing: {width: 4}".to_owned()),
        Just("{from: input, relu: {}}".to_owned()),
        Just("add: [previous, input]".to_owned()),
        (2u64..4).prop_map(|g| format!("channel_shuffle: {{groups: {g}}}")),
    ];
    let list =
        |item: BoxedStrategy<String>| prop::collection::vec(item, 0..4).prop_map(|items| items.join(", "));
    leaf.prop_recursive(4, 32, 4, move |inner| {
        let body = list(inner.boxed());
        prop_oneof![
            body.clone().prop_map(|body| format!("residual: [{body}]")),
            (body.clone(), body.clone())
                .prop_map(|(a, b)| format!("branches: {{paths: [[{a}], [{b}], []]}}")),
            (body.clone(), body.clone())
                .prop_map(|(a, b)| format!("branches: {{paths: {{x: [{a}], y: [{b}]}}, join: add}}")),
            (0u64..4, body.clone()).prop_map(|(n, body)| format!("repeat: {{times: {n}, body: [{body}]}}")),
            (0u64..3, body.clone()).prop_map(|(n, body)| format!("dense: {{times: {n}, body: [{body}]}}")),
            body.prop_map(|body| format!("{{id: group, sequential: [{body}]}}")),
        ]
    })
}

/// What a network is, but for its places in the text.
fn facts(graph: &Graph) -> Vec<String> {
    graph
        .nodes()
        .iter()
        .map(|n| format!("{} {} {} {:?} {:?}", n.id, n.op.name(), n.shape, n.weights, n.cost))
        .collect()
}

fn params(layers: &str, blocks: &str) -> u64 {
    let graph = load(&network("[8, 16, 16]", blocks, layers)).expect("a valid spec");
    totals::of_graph(&graph).params
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn written_specs_are_the_same_networks(body in prop::collection::vec(layers(), 1..6)) {
        let text = network("[8, 16, 16]", "thing: {args: {width: 4}, layers: [conv: {out_channels: $width, kernel: 1}, relu]}", &body.join(", "));
        if let Ok(graph) = load(&text) {
            let written = yaml::write(&graph).expect("a spec");
            let again = load(&written).map_err(|error| TestCaseError::fail(format!("{text}\n{written}\n{error}")))?;
            prop_assert_eq!(same::difference(&graph, &again), None, "{}\n{}", text, written);
            prop_assert_eq!(yaml::write(&again).expect("a spec"), written, "{}", text);
        }
    }

    #[test]
    fn nothing_panics_and_loading_is_deterministic(items in prop::collection::vec(layers(), 1..6)) {
        let blocks = "thing: {args: {width: ~}, layers: [conv: {out_channels: $width, kernel: 1}, relu]}";
        let text = network("[4, 12, 12]", blocks, &items.join(", "));
        match (load(&text), load(&text)) {
            (Ok(first), Ok(second)) => {
                prop_assert_eq!(facts(&first), facts(&second));
                let ids: std::collections::HashSet<&str> = first.nodes().iter().map(|n| n.id.as_str()).collect();
                prop_assert_eq!(ids.len(), first.nodes().len(), "ids are unique");
            }
            (first, second) => prop_assert_eq!(first.err(), second.err()),
        }
    }

    #[test]
    fn any_text_is_a_network_or_an_error(text in "[ -~\n]{0,200}") {
        drop(load(&text));
    }

    #[test]
    fn any_expression_is_a_value_or_an_error(text in "[$0-9a-z+*/%() .<>=\\[\\]-]{0,40}") {
        drop(load(&format!("variables: {{a: 3, b: [1, 2]}}\ninput: [3, 8, 8]\nlayers:\n  - conv: {{out_channels: '{text}', kernel: 1}}\n")));
    }

    #[test]
    fn a_block_used_n_times_has_n_times_its_params(n in 1usize..6, width in 1u64..32, kernel in 1u64..4) {
        let block = format!("b: [conv: {{out_channels: {width}, kernel: {kernel}, padding: same}}, batch_norm, conv: {{out_channels: 8, kernel: 1}}]");
        prop_assert_eq!(params(&vec!["b"; n].join(", "), &block), n as u64 * params("b", &block));
    }

    #[test]
    fn repeat_is_writing_it_out(n in 0usize..6, width in 1u64..16) {
        let body = format!("conv: {{out_channels: {width}, kernel: 3, padding: 1}}, relu");
        let repeated = load(&network("[8, 16, 16]", "", &format!("repeat: {{times: {n}, body: [{body}]}}, relu")));
        let written = load(&network("[8, 16, 16]", "", &[vec![body.as_str(); n].join(", "), "relu".into()].iter().filter(|s| !s.is_empty()).cloned().collect::<Vec<_>>().join(", ")));
        prop_assert_eq!(facts(&repeated.expect("valid")), facts(&written.expect("valid")));
    }

    #[test]
    fn groups_divide_weights_and_dilation_costs_nothing(groups in 1u64..5, width in 1u64..5, rate in 1u64..5) {
        let conv = |more: &str| {
            let channels = groups * width * 4;
            let layers = format!("conv: {{out_channels: {channels}, kernel: 3, padding: same, bias: false{more}}}");
            let graph = load(&network(&format!("[{channels}, 16, 16]"), "", &layers)).expect("a valid spec");
            let totals = totals::of_graph(&graph);
            (totals.params, graph.nodes()[1].cost.macs, graph.nodes()[1].shape.clone())
        };
        let (params, macs, shape) = conv("");
        prop_assert_eq!(conv(&format!(", groups: {groups}")), (params / groups, macs / groups, shape.clone()));
        prop_assert_eq!(conv(&format!(", dilation: {rate}")), (params, macs, shape.clone()));
        // `same` leaves ceil(size / stride) positions.
        let (strided, _, small) = conv(&format!(", stride: {rate}"));
        prop_assert_eq!((strided, small.spatial().to_vec()), (params, vec![16u64.div_ceil(rate); 2]));
    }

    #[test]
    fn shared_weights_count_once(n in 1usize..5, width in 1u64..5) {
        let width = 8 * width;
        let first = format!("{{id: a, conv: {{out_channels: {width}, kernel: 3, padding: 1}}}}");
        let again = format!("{{share: a, conv: {{out_channels: {width}, kernel: 3, padding: 1}}}}");
        let bare = vec!["{share: a}"; n].join(", ");
        let input = format!("[{width}, 8, 8]");
        let count = |layers: &str| totals::of_graph(&load(&network(&input, "", layers)).expect("valid")).params;
        prop_assert_eq!(count(&format!("{first}, {}, {bare}", vec![again.as_str(); n].join(", "))), count(&first));
    }
}
