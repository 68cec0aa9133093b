//! One class: its constructor, and its `forward`.

use std::collections::HashSet;

use super::forward::{forward, method};
use super::leaf::Place;
use super::{Writer, indent, product};
use crate::export::fold::{Slot, Term};
use crate::export::outline::{Child, GroupId};

/// From this number on, repetitions are written as a comprehension.
const RUN: usize = 4;

/// Returns the text of class number `class`.
pub(super) fn class(writer: &Writer<'_>, class: usize) -> String {
    let facts = &writer.classes.list[class];
    let (model, params) = (facts.model, &facts.params);
    let mut signature = vec!["self".to_owned()];
    signature.extend(params.iter().map(|param| match &param.default {
        Some(default) => format!("{}={default}", param.name),
        None => param.name.clone(),
    }));
    let mut text = format!("\n\nclass {}(nn.Module):\n", writer.class_names[class]);
    text += &indent(&format!("def __init__({}):", signature.join(", ")), 4);
    text += "        super().__init__()\n";
    for param in used_in_calls(writer, model) {
        text += &format!("        self.{} = {}\n", writer.saved(model, param), params[param].name);
    }
    let mut made = HashSet::new();
    for &child in &writer.outline.groups[model].children {
        let Some(lines) = module(writer, model, child) else { continue };
        let name = writer.outline.name(model, child);
        text += &containers(name, &mut made);
        made.insert(name.to_owned());
        text += &assignment(name, &lines);
    }
    text.push('\n');
    text + &method(&forward(writer, model))
}

/// Returns the parameters that calls use, which `forward` needs.
fn used_in_calls(writer: &Writer<'_>, model: GroupId) -> Vec<usize> {
    let mut used = Vec::new();
    for &child in &writer.outline.groups[model].children {
        let Child::Node(node) = child else { continue };
        for (index, _) in
            writer.leaf(node).args.iter().enumerate().filter(|(_, arg)| arg.place == Place::Call)
        {
            if let Some(Term::Param { index, .. }) = writer.term((model, child), index)
                && !used.contains(index)
            {
                used.push(*index);
            }
        }
    }
    used
}

/// Returns the modules that contain others where a group is not whole: `self.a = nn.Module()`.
fn containers(name: &str, made: &mut HashSet<String>) -> String {
    let mut text = String::new();
    for (dot, _) in name.match_indices('.') {
        if made.insert(name[..dot].to_owned()) {
            text += &assignment(&name[..dot], &["nn.Module()".to_owned()]);
        }
    }
    text
}

/// Returns `self.name = ...`, or what replaces it for a name that cannot be an attribute.
fn assignment(name: &str, lines: &[String]) -> String {
    let (holder, last) = name.rsplit_once('.').unwrap_or(("", name));
    let base = if holder.is_empty() { "self".to_owned() } else { super::names::reach("self", holder) };
    let (head, tail) = super::names::assignment(&base, last);
    match lines {
        [only] => indent(&format!("{head}{only}{tail}"), 8),
        [first, middle @ .., end] => {
            let mut text = indent(&format!("{head}{first}"), 8);
            text.extend(middle.iter().map(|line| indent(line, 8)));
            text + &indent(&format!("{end}{tail}"), 8)
        }
        [] => String::new(),
    }
}

/// Returns the expression that constructs the module of `child`, as lines; `None` if it has no module of its own.
fn module(writer: &Writer<'_>, group: GroupId, child: Child) -> Option<Vec<String>> {
    let outline = writer.outline;
    let inner = match child {
        Child::Node(node) if outline.owner(node).is_some() => return None,
        Child::Node(node) => {
            let leaf = writer.leaf(node);
            let module = leaf.module?;
            let mut list = Vec::new();
            for (index, arg) in leaf.args.iter().enumerate().filter(|(_, arg)| arg.place != Place::Call) {
                let value = text(writer, group, writer.term((group, child), index), &arg.value);
                if arg.default == Some(value.as_str()) {
                    continue;
                }
                let by_position = arg.place == Place::Position;
                list.push(if by_position { value } else { format!("{}={value}", arg.name) });
            }
            return Some(vec![format!("{module}({})", list.join(", "))]);
        }
        Child::Group(inner) if outline.groups[inner].shares.is_some() => return None,
        Child::Group(inner) => inner,
    };
    let class = writer.classes.of[inner];
    let optional =
        !writer.is_in_place(group) && writer.classes.list[writer.classes.of[group]].options.contains(&inner);
    let mut lines = if writer.is_in_place(inner) {
        sequential(writer, inner)
    } else {
        let arguments = writer.classes.arguments(inner);
        let list = positional(&arguments, |index| {
            text(writer, group, writer.term((group, child), index), &arguments[index].value)
        });
        vec![format!("{}({list})", writer.class_names[class])]
    };
    if optional && let Some(last) = lines.last_mut() {
        let flag = writer.params(group).last().map(|param| param.name.as_str()).unwrap_or_default();
        *last += &format!(" if {flag} else nn.Identity()");
    }
    Some(lines)
}

/// Returns the content of a slot: a parameter's name, or a value.
fn text(writer: &Writer<'_>, group: GroupId, term: Option<&Term>, value: &str) -> String {
    match term {
        Some(Term::Literal(text)) => text.clone(),
        Some(Term::Param { index, times, over }) => {
            // Groups written inline have the parameters of the class around them.
            let mut holder = group;
            while writer.is_in_place(holder)
                && let Some(parent) = writer.outline.groups[holder].parent
            {
                holder = parent;
            }
            product(&writer.params(holder)[*index].name, *times, *over)
        }
        None => value.to_owned(),
    }
}

/// Writes arguments without a default by position, the others by keyword where they differ from it.
fn positional(slots: &[Slot], value: impl Fn(usize) -> String) -> String {
    let mut list = Vec::new();
    for (index, slot) in slots.iter().enumerate() {
        let value = value(index);
        match &slot.default {
            None => list.push(value),
            Some(default) if *default == value => {}
            Some(_) => list.push(format!("{}={value}", slot.name)),
        }
    }
    list.join(", ")
}

/// Returns `nn.Sequential` with the names of its modules.
fn sequential(writer: &Writer<'_>, group: GroupId) -> Vec<String> {
    let mut entries: Vec<(String, Vec<String>)> = Vec::new();
    for &child in &writer.outline.groups[group].children {
        if let Some(lines) = module(writer, group, child) {
            entries.push((writer.outline.name(group, child).to_owned(), lines));
        }
    }
    let mut lines = vec!["nn.Sequential(OrderedDict(".to_owned()];
    let mut at = 0;
    while at < entries.len() {
        let run = run_length(&entries[at..]);
        let (name, body) = &entries[at];
        if run >= RUN
            && let Some((stem, first)) = numbered(name)
            && let [only] = body.as_slice()
        {
            lines.push(format!(
                "    **{{f\"{stem}{{i}}\": {only} for i in range({first}, {})}},",
                first + run as u64
            ));
            at += run;
            continue;
        }
        let count = body.len();
        for (index, line) in body.iter().enumerate() {
            let head = if index == 0 { format!("{name}=") } else { String::new() };
            let comma = if index + 1 == count { "," } else { "" };
            lines.push(format!("    {head}{line}{comma}"));
        }
        at += 1;
    }
    if let [open, only] = lines.as_slice()
        && !only.contains("**")
    {
        return vec![format!("{open}{}))", only.trim().trim_end_matches(','))];
    }
    lines.push("))".to_owned());
    lines
}

/// Returns how many entries from the first on have its text and names that count up.
fn run_length(entries: &[(String, Vec<String>)]) -> usize {
    let Some((stem, first)) = entries.first().and_then(|(name, _)| numbered(name)) else { return 1 };
    let continues = |(index, (name, body)): (usize, &(String, Vec<String>))| {
        *body == entries[0].1 && numbered(name) == Some((stem, first + index as u64))
    };
    entries.iter().enumerate().take_while(|&entry| continues(entry)).count()
}

/// Splits a name: `conv12` is `conv` and 12.
fn numbered(name: &str) -> Option<(&str, u64)> {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = name[stem.len()..].parse().ok()?;
    // Counting never produces `a01`.
    (!name[stem.len()..].starts_with('0') || name.len() == stem.len() + 1).then_some((stem, number))
}
