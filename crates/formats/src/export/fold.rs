//! Detects repetition: groups of the same structure become one class, and the values in which they differ its
//! parameters.
//!
//! Two groups belong to one class if they have the same layers under the same names, connected in the same
//! way; their arguments may differ. A group with one more inner group than another, through which a value
//! otherwise passes unchanged (the projection on the shortcut of some residual modules), belongs to that
//! class with an **option**.

mod terms;

use std::collections::HashMap;

use super::outline::{Child, GroupId, Outline};
use cnnkit_core::graph::NodeId;
use terms::{free_name, term, usual};

/// A value that may differ between groups of one class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// The argument: `out_channels`.
    pub name: String,
    /// Its value, as text in the target language.
    pub value: String,
    /// Its default, if it has one.
    pub default: Option<String>,
    /// Whether its value must be the same in all groups of a class, because it is part of the structure.
    pub fixed: bool,
}

/// A layer in the target language, with what folding needs to know about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Face {
    /// The kind: only layers of the same kind can replace each other.
    pub kind: String,
    /// The arguments that may differ.
    pub slots: Vec<Slot>,
}

/// Index of a class.
pub type ClassId = usize;

/// A class: groups of one structure.
#[derive(Debug)]
pub struct Class {
    /// Its groups, in execution order.
    pub members: Vec<GroupId>,
    /// A member with all its options.
    pub model: GroupId,
    /// Inner groups of the model that some members do not have.
    pub options: Vec<GroupId>,
    /// Its parameters.
    pub params: Vec<Param>,
}

/// A parameter of a class.
#[derive(Debug, Clone)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// Its value in each member; `None` where the member does not need it.
    pub values: Vec<Option<String>>,
    /// Its default value.
    pub default: Option<String>,
    /// Whether the language provides it, so that no caller passes it.
    pub given: bool,
}

/// The content of a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Term {
    /// The same value in all members.
    Literal(String),
    /// A parameter, multiplied and then divided by integers.
    Param {
        /// Its index.
        index: usize,
        /// Factor.
        times: i64,
        /// Divisor.
        over: i64,
    },
}

/// The classes of an outline.
#[derive(Debug)]
pub struct Classes {
    /// All classes.
    pub list: Vec<Class>,
    /// The class of each group.
    pub of: Vec<ClassId>,
    /// The option that each group has: the name of an inner group.
    pub options: Vec<Option<String>>,
    /// All classes, each after those that it uses.
    pub order: Vec<ClassId>,
    /// Whether each class is written inline where it is used.
    pub in_place: Vec<bool>,
    /// The content of each slot of each child of a model, and of inner groups that are written inline.
    pub terms: HashMap<(GroupId, Child), Vec<Term>>,
}

/// What folding needs to know about a target language.
pub trait Target {
    /// Returns the layer in this language.
    fn face(&self, node: NodeId) -> Face;

    /// Returns whether these groups of one structure are written inline where they are used, not as a class:
    /// their slots then belong to the class around them. `places` is the number of different classes that use
    /// them.
    fn in_place(&self, outline: &Outline<'_>, members: &[GroupId], places: usize) -> bool;

    /// Returns whether an inner group, through which a single value passes, can be optional.
    fn option(&self, outline: &Outline<'_>, inner: GroupId) -> bool;

    /// Returns the name of a parameter for the argument `slot`, with these values in the groups `members`.
    fn param_name(
        &self,
        outline: &Outline<'_>,
        slot: &Slot,
        values: &[Option<String>],
        members: &[GroupId],
    ) -> String;

    /// Returns the variables that the language itself provides to a group: names and values.
    fn builtins(&self, outline: &Outline<'_>, group: GroupId) -> Vec<(String, String)>;

    /// Returns the value of a parameter that enables or disables an option.
    fn flag(&self, value: bool) -> String;
}

/// Finds the classes of `outline`.
pub fn fold(outline: &Outline<'_>, target: &dyn Target) -> Classes {
    let mut folder = Folder {
        outline,
        target,
        keys: HashMap::new(),
        classes: Classes {
            list: vec![],
            of: vec![usize::MAX; outline.groups.len()],
            options: vec![None; outline.groups.len()],
            order: vec![],
            in_place: vec![],
            terms: HashMap::new(),
        },
    };
    let heights: Vec<usize> = (0..outline.groups.len()).map(|group| outline.height(group)).collect();
    for height in 0..=heights.iter().copied().max().unwrap_or(0) {
        let level: Vec<GroupId> = (0..outline.groups.len()).filter(|&g| heights[g] == height).collect();
        folder.classify(&level);
    }
    folder.settle();
    folder.classes
}

struct Folder<'a, 'g> {
    outline: &'a Outline<'g>,
    target: &'a dyn Target,
    keys: HashMap<String, ClassId>,
    classes: Classes,
}

impl Folder<'_, '_> {
    /// Assigns classes to the groups of one height. The full structure is tried before the one without an option, so
    /// that an option is used only where a group without it exists.
    fn classify(&mut self, level: &[GroupId]) {
        let mut open = Vec::new();
        let mut by_key: HashMap<String, Vec<GroupId>> = HashMap::new();
        for &group in level {
            let key = self.key(group, None);
            if let Some(&class) = self.keys.get(&key) {
                self.join(class, group, None);
            } else {
                by_key.entry(key.clone()).or_default().push(group);
                open.push((group, key));
            }
        }
        for (group, key) in open {
            if let Some(&class) = self.keys.get(&key) {
                self.join(class, group, None);
                continue;
            }
            match self.without_an_option(group) {
                Some((class, option)) => self.join(class, group, Some(option)),
                None => {
                    let class = self.classes.list.len();
                    self.keys.insert(key, class);
                    self.classes.list.push(Class {
                        members: vec![],
                        model: group,
                        options: vec![],
                        params: vec![],
                    });
                    self.join(class, group, None);
                }
            }
        }
    }

    fn join(&mut self, class: ClassId, group: GroupId, option: Option<GroupId>) {
        self.classes.of[group] = class;
        let entry = &mut self.classes.list[class];
        entry.members.push(group);
        if let Some(option) = option {
            if entry.options.is_empty() {
                entry.model = group;
                entry.options.push(option);
            }
            self.classes.options[group] = Some(self.outline.groups[option].name.clone());
        }
    }

    /// Returns a known class to which `group` belongs without one of its inner groups, through which a single
    /// value passes, and that group. A class has at most one option.
    fn without_an_option(&self, group: GroupId) -> Option<(ClassId, GroupId)> {
        self.outline.groups[group].children.iter().find_map(|child| {
            let Child::Group(inner) = *child else { return None };
            let facts = &self.outline.groups[inner];
            let passes = facts.inputs.len() == 1
                && facts.outputs.len() == 1
                && facts.shares.is_none()
                && self.target.option(self.outline, inner);
            if !passes
                || self.outline.height(inner) > 0
                || self.outline.groups[group].outputs.contains(&facts.outputs[0])
            {
                return None;
            }
            let class = *self.keys.get(&self.key(group, Some(inner)))?;
            let known = &self.classes.list[class];
            let same = |other: &GroupId| {
                self.outline.groups[*other].name == facts.name
                    && self.classes.of[*other] == self.classes.of[inner]
            };
            (known.options.is_empty() || known.options.iter().all(same)).then_some((class, inner))
        })
    }

    /// Returns the structure of `group` as text, optionally without one inner group.
    fn key(&self, group: GroupId, left_out: Option<GroupId>) -> String {
        let outline = self.outline;
        let facts = &outline.groups[group];
        // The source of each value, in the group's own terms.
        let mut source: HashMap<NodeId, String> = HashMap::new();
        for (index, &input) in facts.inputs.iter().enumerate() {
            source.insert(input, format!("in{index}"));
        }
        let mut key = String::new();
        let mut place = 0;
        for &child in &facts.children {
            let inputs: Vec<String> = outline
                .inputs(child)
                .iter()
                .map(|input| source.get(input).cloned().unwrap_or_default())
                .collect();
            let outputs = outline.outputs(child);
            if left_out.is_some_and(|inner| child == Child::Group(inner)) {
                source.insert(outputs[0], inputs[0].clone());
                continue;
            }
            let what = match child {
                Child::Group(inner) => {
                    let shares = outline.groups[inner].shares.as_deref();
                    let shares =
                        shares.map(|other| format!("={}", other.strip_prefix(&facts.path).unwrap_or(other)));
                    format!("#{}{}", self.classes.of[inner], shares.unwrap_or_default())
                }
                Child::Node(node) => {
                    let face = self.target.face(node);
                    let slots: Vec<String> = face
                        .slots
                        .iter()
                        .map(|slot| {
                            if slot.fixed {
                                format!("{}={}", slot.name, slot.value)
                            } else {
                                slot.name.clone()
                            }
                        })
                        .collect();
                    // A group that shares all its weights with another has the other's structure.
                    let owner = outline
                        .owner(node)
                        .filter(|_| facts.shares.is_none())
                        .map(|owner| outline.relative(group, owner).to_owned());
                    format!(
                        "{}({}){}",
                        face.kind,
                        slots.join(","),
                        owner.map(|o| format!("={o}")).unwrap_or_default()
                    )
                }
            };
            key += &format!("{}:{what}[{}];", outline.name(group, child), inputs.join(","));
            for (index, output) in outputs.into_iter().enumerate() {
                source.insert(output, format!("{place}.{index}"));
            }
            place += 1;
        }
        let outputs: Vec<String> =
            facts.outputs.iter().map(|output| source.get(output).cloned().unwrap_or_default()).collect();
        format!("{}inputs, {key}out[{}]", facts.inputs.len(), outputs.join(","))
    }

    /// Determines the parameters of all classes, the inner ones first.
    fn settle(&mut self) {
        // Class numbers follow the height of the first member, but a class with an option may have grown: order by
        // use.
        let mut order: Vec<ClassId> = Vec::new();
        let mut seen = vec![false; self.classes.list.len()];
        for class in 0..self.classes.list.len() {
            self.visit(class, &mut seen, &mut order);
        }
        self.classes.in_place = (0..self.classes.list.len())
            .map(|class| {
                let members = &self.classes.list[class].members;
                let mut places: Vec<(Option<ClassId>, &str)> = members
                    .iter()
                    .map(|&group| {
                        let facts = &self.outline.groups[group];
                        (facts.parent.map(|parent| self.classes.of[parent]), facts.name.as_str())
                    })
                    .collect();
                places.sort_unstable();
                places.dedup();
                self.target.in_place(self.outline, members, places.len())
            })
            .collect();
        for &class in &order {
            if !self.classes.in_place[class] {
                self.parametrise(class);
            }
        }
        self.classes.order = order;
    }

    fn visit(&self, class: ClassId, seen: &mut Vec<bool>, order: &mut Vec<ClassId>) {
        if std::mem::replace(&mut seen[class], true) {
            return;
        }
        for &group in &self.classes.list[class].members {
            for child in &self.outline.groups[group].children {
                if let Child::Group(inner) = child {
                    self.visit(self.classes.of[*inner], seen, order);
                }
            }
        }
        order.push(class);
    }

    /// Returns the slots of `child`: those of a layer, or the parameters of an inner group's class.
    fn slots(&self, child: Child) -> Vec<Slot> {
        match child {
            Child::Node(node) => self.target.face(node).slots,
            Child::Group(inner) => self.classes.arguments(inner),
        }
    }

    /// Returns all slots of `group` with their children, including those of groups written inline.
    fn all_slots(&self, group: GroupId) -> Vec<((GroupId, Child), String, Vec<Slot>)> {
        let mut all = Vec::new();
        for &child in &self.outline.groups[group].children {
            match child {
                Child::Group(inner) if self.outline.groups[inner].shares.is_some() => {}
                Child::Group(inner) if self.classes.in_place[self.classes.of[inner]] => {
                    let name = self.outline.groups[inner].name.replace('.', "_");
                    all.extend(
                        self.all_slots(inner)
                            .into_iter()
                            .map(|(at, path, slots)| (at, format!("{name}.{path}"), slots)),
                    );
                }
                _ => {
                    all.push((
                        (group, child),
                        self.outline.name(group, child).replace('.', "_"),
                        self.slots(child),
                    ));
                }
            }
        }
        all
    }

    fn parametrise(&mut self, class: ClassId) {
        let (members, model) = (self.classes.list[class].members.clone(), self.classes.list[class].model);
        let all: Vec<HashMap<String, Vec<Slot>>> = members
            .iter()
            .map(|&group| self.all_slots(group).into_iter().map(|(_, path, slots)| (path, slots)).collect())
            .collect();
        let mut params: Vec<Param> = Vec::new();
        for (index, (name, _)) in self.target.builtins(self.outline, model).into_iter().enumerate() {
            let value = |&group: &GroupId| {
                self.target.builtins(self.outline, group).get(index).map(|(_, value)| value.clone())
            };
            params.push(Param {
                name,
                values: members.iter().map(value).collect(),
                default: None,
                given: true,
            });
        }
        let mut terms: HashMap<(GroupId, Child), Vec<Term>> = HashMap::new();
        for (at, path, slots) in self.all_slots(model) {
            let mut row = Vec::new();
            for (index, slot) in slots.iter().enumerate() {
                let values: Vec<Option<String>> = all
                    .iter()
                    .map(|member| {
                        member.get(&path).and_then(|slots| slots.get(index)).map(|slot| slot.value.clone())
                    })
                    .collect();
                row.push(term(&mut params, &values, |params| {
                    let name = self.target.param_name(self.outline, slot, &values, &members);
                    Param {
                        name: free_name(params, &name, &path),
                        default: usual(slot, &values),
                        values: values.clone(),
                        given: false,
                    }
                }));
            }
            terms.insert(at, row);
        }
        // A parameter without a default cannot follow one with a default.
        let mut order: Vec<usize> = (0..params.len()).collect();
        order.sort_by_key(|&index| (params[index].given, params[index].default.is_some()));
        let mut place = vec![0; params.len()];
        for (new, &old) in order.iter().enumerate() {
            place[old] = new;
        }
        for term in terms.values_mut().flatten() {
            if let Term::Param { index, .. } = term {
                *index = place[*index];
            }
        }
        let mut params: Vec<Param> = order.into_iter().map(|old| params[old].clone()).collect();
        if let Some(&option) = self.classes.list[class].options.first() {
            let has = |group: &GroupId| Some(self.target.flag(self.classes.options[*group].is_some()));
            let name = free_name(&params, &self.outline.groups[option].name.replace(['.', '-'], "_"), "with");
            let values = members.iter().map(has).collect();
            params.push(Param { name, values, default: Some(self.target.flag(false)), given: false });
        }
        self.classes.list[class].params = params;
        self.classes.terms.extend(terms);
    }
}

impl Classes {
    /// Returns the arguments of `group`: one slot per parameter of its class.
    pub fn arguments(&self, group: GroupId) -> Vec<Slot> {
        let class = &self.list[self.of[group]];
        let member = class.members.iter().position(|&member| member == group).unwrap_or(0);
        let slot = |param: &Param| {
            let given = param.values.get(member).cloned().flatten();
            let any = || param.values.iter().flatten().next().cloned();
            // A member that does not need a parameter gets its default, or any value if there is none.
            let value = given.or_else(|| param.default.clone()).or_else(any).unwrap_or_default();
            Slot { name: param.name.clone(), value, default: param.default.clone(), fixed: false }
        };
        class.params.iter().filter(|param| !param.given).map(slot).collect()
    }
}
