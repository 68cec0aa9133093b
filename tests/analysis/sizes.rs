//! Input sizes: against torchvision's published minima, the U-Net paper's rule, and plain trial of every size.

use cnnkit::analysis::sizes::{AxisSizes, analyse};
use cnnkit::disk::Disk;
use cnnkit::graph::Graph;
use cnnkit::shape::Shape;
use cnnkit::spec::files::Text;
use cnnkit::spec::{self, Overrides};

fn zoo(name: &str, overrides: &Overrides) -> Graph {
    let path = format!("{}/specs/zoo/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
    spec::load(&Disk::of(&path), &path, overrides).expect("a shipped spec loads").graph
}

fn sizes(graph: &Graph) -> Vec<AxisSizes> {
    analyse(graph).expect("supported")
}

#[test]
fn smallest_sizes_are_torchvisions() {
    // `min_size` of the weights' metadata, torchvision 0.20 models/*.py. It is where the authors stop promising a sensible
    // result, which for networks that halve five times with padding is 1 for us and 1 for them (resnet18).
    for (name, smallest) in
        [("alexnet", 63), ("inception_v3", 75), ("densenet121", 29), ("resnet18", 1), ("squeezenet1_1", 17)]
    {
        for axis in sizes(&zoo(name, &Overrides::default())) {
            assert_eq!(axis.works.smallest, Some(smallest), "{name}");
        }
    }
}

#[test]
fn the_unpadded_unet_takes_only_sizes_of_12_modulo_16() {
    // Ronneberger et al. 2015, section 2: the tile size must make every 2x2 pooling see an even size; 572 does.
    for axis in sizes(&zoo("unet", &Overrides::default())) {
        assert_eq!((axis.works.smallest, axis.works.modulus), (Some(188), 16));
        assert_eq!(axis.works.residues, [12]);
        assert!(axis.lossless.contains(572) && !axis.works.contains(570));
        assert_eq!(axis.works.around(500), (Some(492), Some(508)));
    }
}

#[test]
fn a_padded_unet_wants_multiples_of_16() {
    let overrides = Overrides {
        variables: vec![("padding".into(), "1".into())],
        inputs: vec![(String::new(), vec![1, 256, 256])],
    };
    for axis in sizes(&zoo("unet", &overrides)) {
        assert_eq!((axis.works.smallest, axis.works.modulus), (Some(16), 16));
        assert_eq!(axis.works.residues, [0]);
    }
}

#[test]
fn resnet_runs_at_any_size_and_divides_multiples_of_32() {
    for axis in sizes(&zoo("resnet50", &Overrides::default())) {
        assert_eq!((axis.works.smallest, axis.works.modulus), (Some(1), 1));
        assert_eq!((axis.lossless.modulus, axis.lossless.residues.as_slice()), (32, [0].as_slice()));
    }
}

#[test]
fn a_linear_layer_behind_a_flatten_fixes_the_size() {
    let yaml = "{input: [3, 8, 8], layers: [conv: {out_channels: 4, kernel: 3}, flatten, linear: {out_features: 2}]}";
    let files = Text { name: "test".into(), bytes: yaml.into() };
    let graph = spec::load(&files, "test", &Overrides::default()).expect("valid").graph;
    for axis in sizes(&graph) {
        assert_eq!(axis.works.finite(), Some([8].as_slice()));
    }
}

/// The sets say of every size up to 700 what shape inference itself says.
#[test]
fn the_sets_are_what_trial_finds() {
    for name in ["unet", "googlenet", "mobilenet_v3_small", "deeplabv3_resnet50", "shufflenet_v2_x1_0", "tcn"]
    {
        let graph = zoo(name, &Overrides::default());
        for axis in sizes(&graph) {
            for n in (1..=700).step_by(7) {
                let inputs: Vec<Shape> = graph
                    .inputs()
                    .map(|(_, node)| {
                        let mut sizes = node.shape.sizes().to_vec();
                        sizes[axis.axis + 1] = n;
                        Shape::new(sizes)
                    })
                    .collect();
                assert_eq!(
                    graph.reinfer(&inputs).is_ok(),
                    axis.works.contains(n),
                    "{name} axis {} size {n}",
                    axis.axis
                );
            }
        }
    }
}
