//! What `cnnkit hdc-check` says: the rule and the truth side by side.

use serde_json::{Value as Json, json};

use crate::{Block, Cell, Column, Page, Report, Row, StyledText, Table, Tone};
use cnnkit_core::analysis::gridding::Bound;
use cnnkit_core::analysis::hdc::{Check, Group, Grouping};
use cnnkit_core::analysis::proposal::{Proposal, Proposals};
use cnnkit_core::number::{grouped, share};

/// What decides the exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strict {
    /// The published rule.
    Rule,
    /// The exact verdict.
    Exact,
    /// Both must hold.
    Both,
}

/// The report on `check`; `proposals` if it failed.
pub fn report(check: &Check, strict: Strict, explain: bool, proposals: Option<&Proposals>) -> Report {
    let exact = check.exact.hole_free();
    let ok = match strict {
        Strict::Rule => check.rule.ok,
        Strict::Exact => exact,
        Strict::Both => check.rule.ok && exact,
    };
    let difference = difference(check);
    let mut page = Page::default();
    let kernel = vec![check.rule.kernel.to_string(); check.exact.axes.len()].join("x");
    page.title_with(format!("HDC check of rates {}", written(check)), format!("{kernel} kernels"));
    page.table(verdicts(check));
    for (i, group) in check.rule.groups.iter().enumerate() {
        let repeated = check.rule.groups[..i].iter().any(|other| other.rates == group.rates);
        if !repeated {
            page.title_with(format!("M of group {}", list(&group.rates)), group_remark(check, group));
            page.table(distances(group));
        }
    }
    let tone = if check.agrees() { Tone::Good } else { Tone::Warn };
    let word = if check.agrees() { "rule and truth agree" } else { "rule and truth disagree" };
    page.push(Block::Text(vec![StyledText::new(word, tone), StyledText::plain(format!(": {difference}"))]));
    if explain {
        explanation(&mut page, check);
    }
    if let Some(proposals) = proposals {
        propose(&mut page, check, proposals);
    }
    let decides = match strict {
        Strict::Rule => "the published rule decides (--strict rule)",
        Strict::Exact => "the exact verdict decides (--strict exact)",
        Strict::Both => "the rule and the exact verdict must both hold (--strict both)",
    };
    let (word, tone) = if ok { ("passes", Tone::Good) } else { ("fails", Tone::Bad) };
    page.push(Block::Text(vec![StyledText::new(word, tone), StyledText::plain(format!(": {decides}"))]));
    if check.rule.kernel != 3 {
        page.note(format!(
            "the rule is applied as printed; the 2 in its formula is K - 1 for K = 3 only, and here K = {}",
            check.rule.kernel
        ));
    }
    let json = to_json(check, strict, ok, &difference, proposals);
    Report { page, json, ok }
}

fn list(rates: &[u64]) -> String {
    let shown: Vec<String> = rates.iter().take(24).map(u64::to_string).collect();
    format!("{}{}", shown.join(","), if rates.len() > 24 { ",..." } else { "" })
}

/// The rates as they could be given: groups apart where the caller gave them apart.
fn written(check: &Check) -> String {
    match check.rule.grouping {
        Grouping::Given => {
            groups(&check.rule.groups.iter().map(|group| group.rates.clone()).collect::<Vec<_>>())
        }
        Grouping::Single | Grouping::Periodic(_) => list(&check.rates),
    }
}

fn groups(groups: &[Vec<u64>]) -> String {
    groups.iter().map(|rates| list(rates)).collect::<Vec<_>>().join("/")
}

fn verdicts(check: &Check) -> Table {
    let mark =
        |holds: bool| if holds { Cell::toned("holds", Tone::Good) } else { Cell::toned("fails", Tone::Bad) };
    let kernel = check.rule.kernel;
    let m2: Vec<String> = check.rule.groups.iter().map(|group| group.m2.to_string()).collect();
    let single = check.rule.groups.iter().all(|group| group.rates.len() == 1);
    let name = if single { "M_1" } else { "M_2" };
    let (missed, size) = check.missed();
    let row = |what: &str, found: String, verdict: Cell| {
        Row::new(vec![Cell::text(what), Cell::text(found), verdict])
    };
    let gcds: Vec<String> = check.rule.groups.iter().map(|group| group.gcd.to_string()).collect();
    let mut rows = vec![
        row("rule: the gcd of a group is 1", once(&gcds), mark(check.rule.gcd_ok)),
        row(
            &format!("rule: {name} <= K = {kernel}"),
            once(&m2),
            mark(check.rule.groups.iter().all(|group| group.m2_ok)),
        ),
        row(
            "exact: no hole",
            format!(
                "{} of {} read per axis, largest gap {}",
                grouped(size - missed),
                grouped(size),
                check.exact.max_gap()
            ),
            mark(check.exact.hole_free()),
        ),
    ];
    rows[2].rule_above = true;
    Table { columns: vec![Column::text("check"), Column::text("found"), Column::text("verdict")], rows }
}

/// Values of the groups in order, or the one value that they share.
fn once(values: &[String]) -> String {
    match values {
        [first, rest @ ..] if rest.iter().all(|value| value == first) => first.clone(),
        _ => values.join(", "),
    }
}

fn group_remark(check: &Check, group: &Group) -> String {
    let count = check.rule.groups.iter().filter(|other| other.rates == group.rates).count();
    let single = if group.rates.len() == 1 { "; one layer has no M_2, so M_1 counts" } else { "" };
    match check.rule.grouping {
        Grouping::Single if single.is_empty() => "the whole list is one group".into(),
        Grouping::Single => "one layer has no M_2, so M_1 counts".into(),
        Grouping::Periodic(period) => {
            format!("found {count} times: the rates repeat every {period} layers{single}")
        }
        Grouping::Given => format!("given {count} times{single}"),
    }
}

fn distances(group: &Group) -> Table {
    let number = |value: i128| Cell::text(value.to_string());
    let rows = group.distances.iter().zip(&group.rates).enumerate().map(|(i, (distance, rate))| {
        let decides = i == 1.min(group.rates.len() - 1);
        let tone = match (decides, group.m2_ok) {
            (false, _) => Tone::Plain,
            (true, true) => Tone::Good,
            (true, false) => Tone::Bad,
        };
        let [first, second, third] = match distance.terms {
            Some(terms) => terms.map(number),
            None => [Cell::default(), Cell::default(), Cell::count(*rate)],
        };
        Row::new(vec![
            Cell::text(format!("M_{}", i + 1)),
            Cell::count(*rate),
            first,
            second,
            third,
            Cell::count(distance.m).tone(tone),
        ])
    });
    let right = |title: &str| Column { right: true, ..Column::text(title) };
    Table {
        columns: vec![
            Column::text("i"),
            Column::number("r_i"),
            right("M_i+1 - 2 r_i"),
            right("M_i+1 - 2 (M_i+1 - r_i)"),
            right("r_i"),
            Column::number("max = M_i"),
        ],
        rows: rows.collect(),
    }
}

/// Where rule and truth stand, in one sentence.
fn difference(check: &Check) -> String {
    let (missed, size) = check.missed();
    let read = format!("{} of {} positions per axis are never read", grouped(missed), grouped(size));
    match (check.rule.ok, check.exact.hole_free()) {
        (true, true) => {
            format!("the rule passes, and every one of the {} positions per axis is read", grouped(size))
        }
        (true, false) => format!("the rule passes, yet {read}"),
        (false, true) => format!("the rule fails ({}), yet nothing is missed", rule_flaw(check)),
        (false, false) => format!("the rule fails ({}), and {read}", rule_flaw(check)),
    }
}

fn rule_flaw(check: &Check) -> String {
    let kernel = check.rule.kernel;
    let gcd = check.rule.groups.iter().find(|group| group.gcd != 1).map(|group| format!("gcd {}", group.gcd));
    let m2 = check.rule.groups.iter().find(|group| !group.m2_ok).map(|group| {
        let name = if group.rates.len() == 1 { "M_1" } else { "M_2" };
        format!("{name} = {} > {kernel}", group.m2)
    });
    [gcd, m2].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn explanation(page: &mut Page, check: &Check) {
    page.title_with("The published rule", "Wang et al. 2018, section 3.2, arXiv 1702.08502");
    page.text(
        "For each group of rates r_1 .. r_n: their gcd must be 1, and with M_n = r_n and M_i = max[ M_i+1 - 2 r_i, \
         M_i+1 - 2 (M_i+1 - r_i), r_i ] the goal is M_2 <= K. M_i is meant as the largest distance between two \
         nonzero values. In a sawtooth (1,2,5,1,2,5) the rule applies to each repeating group.",
    );
    page.title_with("The exact criterion", "decides the second verdict; the computed reach confirms it");
    page.text(
        "Sort the rates: there is no hole if and only if each is at most 1 + (K - 1) times the sum of the smaller \
         ones. Smaller rates reach no further than that, so a larger one leaves the next position out; and an \
         interval shifted by no more than its length leaves nothing out.",
    );
    let mut shown: Vec<&Bound> = check.bounds.iter().collect();
    shown.dedup_by_key(|bound| bound.step);
    let rows = shown.iter().take(40).map(|bound| {
        let verdict = if bound.holds() {
            Cell::toned("fits", Tone::Good)
        } else {
            Cell::toned("leaves holes", Tone::Bad)
        };
        Row::new(vec![Cell::count(bound.step), Cell::count(bound.largest), verdict])
    });
    page.table(Table {
        columns: vec![Column::number("rate"), Column::number("largest that fits"), Column::text("verdict")],
        rows: rows.collect(),
    });
    if let Some(Bound { step, largest }) = check.breaks() {
        page.text(format!("rate {} breaks it: it can be at most {} here", grouped(step), grouped(largest)));
    }
}

fn propose(page: &mut Page, check: &Check, proposals: &Proposals) {
    let row = |what: &str, proposal: &Proposal| {
        Row::new(vec![
            Cell::text(what),
            Cell::toned(groups(&proposal.groups), Tone::Name),
            Cell::count(proposal.change),
            Cell::count(proposal.size),
        ])
    };
    let nearest = if proposals.proven { "smallest change" } else { "smallest change found" };
    let mut rows: Vec<Row> = proposals.nearest.iter().map(|proposal| row(nearest, proposal)).collect();
    if let Some(proposal) = &proposals.widest_within {
        rows.push(row("widest within the largest rate", proposal));
    }
    if let Some(proposal) = proposals.widest.as_ref().filter(|p| proposals.widest_within.as_ref() != Some(*p))
    {
        rows.push(row("widest of all", proposal));
    }
    if rows.is_empty() {
        return;
    }
    let now = check.exact.size().first().copied().unwrap_or(0);
    page.title_with("Use instead", format!("same length, passes both; receptive field now {}", grouped(now)));
    page.table(Table {
        columns: vec![
            Column::text("proposal"),
            Column::text("rates"),
            Column::number("change"),
            Column::number("receptive field"),
        ],
        rows,
    });
    page.note("change: sum of the differences of the rates; widest: among groups whose rates rise");
}

fn to_json(check: &Check, strict: Strict, ok: bool, difference: &str, proposals: Option<&Proposals>) -> Json {
    let group = |group: &Group| {
        json!({
            "rates": group.rates,
            "m": group.distances.iter().map(|distance| distance.m).collect::<Vec<_>>(),
            "terms": group.distances.iter().map(|d| d.terms.map(|t| t.map(|t| json!(t)))).collect::<Vec<_>>(),
            "m2": group.m2,
            "m2_ok": group.m2_ok,
            "gcd": group.gcd,
            "gcd_ok": group.gcd == 1,
        })
    };
    let proposal = |proposal: &Proposal| {
        json!({
            "rates": proposal.groups.concat(),
            "groups": proposal.groups,
            "change": proposal.change,
            "size": proposal.size,
        })
    };
    let (missed, size) = check.missed();
    json!({
        "schema": 1,
        "command": "hdc-check",
        "spec": { "name": null, "path": null },
        "kernel": check.rule.kernel,
        "rates": check.rates,
        "axes": check.exact.axes.len(),
        "groups": check.rule.groups.iter().map(group).collect::<Vec<_>>(),
        "gcd": check.rule.gcd,
        "gcd_ok": check.rule.gcd_ok,
        "sawtooth": check.rule.groups.len() > 1,
        "period": match check.rule.grouping { Grouping::Periodic(period) => Some(period), _ => None },
        "rule_ok": check.rule.ok,
        "exact": {
            "hole_free": check.exact.hole_free(),
            "coverage": check.exact.coverage(),
            "max_gap": check.exact.max_gap(),
            "size": size,
            "missed": missed,
            "breaks": check.breaks().map(|bound| json!({ "rate": bound.step, "largest": bound.largest })),
        },
        "agrees": check.agrees(),
        "difference": difference,
        "strict": match strict { Strict::Rule => "rule", Strict::Exact => "exact", Strict::Both => "both" },
        "ok": ok,
        "proposals": proposals.map(|proposals| json!({
            "nearest": proposals.nearest.iter().map(proposal).collect::<Vec<_>>(),
            "proven": proposals.proven,
            "widest_within": proposals.widest_within.as_ref().map(proposal),
            "widest": proposals.widest.as_ref().map(proposal),
        })),
    })
}

/// `per cent` for a share, as the survey's table says it.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    share(part as f64 / whole.max(1) as f64)
}
