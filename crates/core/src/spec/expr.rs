//! Arithmetic in a spec: `4 * $width`, `$depth - 1`, `round_to($width * $alpha, 8)`, `$i % 2 == 0 and not $last`.
//!
//! Numbers are exact fractions, so `$width / 4 * 3` is exact; an argument that must be an integer reports an error if
//! the result is not one. Precedence is Python's. There are no loops, no side effects and no input or output: an
//! expression only reads variables.

mod arithmetic;
mod lexer;

use std::fmt;

use num_traits::{CheckedAdd as _, Signed as _};

use arithmetic::{Operand, arithmetic, item, round_to};
use lexer::{Lexeme, Token, tokenize};

use crate::diagnostic::suggest;
use crate::value::{Number, Value, show_number};

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExprError {
    /// The expression itself is wrong.
    Flaw(ExprFlaw),
    /// The expression is right, but its result is beyond a limit.
    Limit(ExprFlaw),
    /// It reads a variable whose own error was reported already.
    Reported,
}

impl ExprError {
    /// A flaw at `len` bytes from byte `start`, with its remedy.
    pub(crate) fn flaw(
        start: usize,
        len: usize,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self::Flaw(ExprFlaw { start, len, message: message.into(), help: Some(help.into()) })
    }

    /// Returns the same flaw as one of a result that is too large.
    fn beyond_limit(self) -> Self {
        match self {
            Self::Flaw(flaw) => Self::Limit(flaw),
            other => other,
        }
    }
}

impl fmt::Display for ExprError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flaw(flaw) | Self::Limit(flaw) => f.write_str(&flaw.message),
            Self::Reported => f.write_str("the expression reads a variable that has no value"),
        }
    }
}

impl std::error::Error for ExprError {}

/// A flaw in the text of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExprFlaw {
    /// Offset of the offending token in the text, in bytes.
    pub start: usize,
    /// Length of the token, in bytes.
    pub len: usize,
    /// The flaw.
    pub message: String,
    /// The remedy.
    pub help: Option<String>,
}

/// Variables that an expression can read.
pub trait Variables {
    /// Returns the value of `name`.
    fn get(&self, name: &str) -> Option<&Value>;
    /// Returns whether `name` gets its value only after this place.
    fn later(&self, _name: &str) -> bool {
        false
    }
    /// Returns all names, for suggestions.
    fn names(&self) -> Vec<&str>;
    /// Takes `elements` from what may still be copied out of variables; returns whether there was enough.
    fn spend(&self, _elements: u64) -> bool {
        true
    }
    /// Whether `name` has no value because of an error that was reported already.
    fn failed(&self, _name: &str) -> bool {
        false
    }
}

/// Maximum nesting of parentheses and operators, so that hostile text cannot exhaust the stack.
const MAX_DEPTH: usize = 64;
/// Maximum number of bytes of a name with variables filled in.
const MAX_NAME: usize = 1 << 16;

/// Maximum number of elements that are copied out of lists and texts while one spec is evaluated: lists of lists of
/// lists grow like a power of their depth.
pub const MAX_COPIED: u64 = 2_000_000;

/// Functions by name, with their descriptions.
pub const FUNCTIONS: &[(&str, &str)] = &[
    ("min(a, b, ...)", "the smallest"),
    ("max(a, b, ...)", "the largest"),
    ("floor(x)", "rounded down"),
    ("ceil(x)", "rounded up"),
    ("round(x)", "rounded to the nearest, halves up"),
    ("round_to(x, d)", "the nearest multiple of d, never under 0.9 x (MobileNet's _make_divisible)"),
    ("len(list)", "the number of items of a list"),
];

/// Returns whether `text` is an expression rather than a plain word: it reads a variable, or is arithmetic on
/// numbers.
pub fn is_expression(text: &str) -> bool {
    let arithmetic = text.starts_with(|c: char| c.is_ascii_digit() || c == '(')
        && text.contains(['+', '-', '*', '/', '%'])
        && text.chars().all(|c| c.is_ascii_digit() || " +-*/%().".contains(c));
    text.contains('$') || arithmetic
}

/// Evaluates the expression `text`.
pub fn evaluate(text: &str, variables: &dyn Variables) -> Result<Value, ExprError> {
    let tokens = tokenize(text)?;
    let mut parser = Parser { tokens, at: 0, depth: 0, end: text.len(), variables };
    let value = parser.ternary()?;
    match parser.peek() {
        None => Ok(value),
        Some(token) => Err(match token.lexeme {
            Lexeme::Symbol(")") => token.error("this `)` closes nothing", "remove it, or open it earlier"),
            _ => token.error("this is unexpected here", "an operator is missing before it: `2 * $width`"),
        }),
    }
}

/// Replaces every `$name` and `${expression}` in `text` by its value: for ids.
pub fn interpolate(text: &str, variables: &dyn Variables) -> Result<String, ExprError> {
    let mut out = String::new();
    let mut at = 0;
    while let Some(dollar) = text[at..].find('$').map(|i| i + at) {
        out.push_str(&text[at..dollar]);
        let rest = &text[dollar + 1..];
        let (code, next) = if let Some(inner) = rest.strip_prefix('{') {
            let close = inner
                .find('}')
                .ok_or_else(|| ExprError::flaw(dollar, 2, "`${` without `}`", "close it: `enc${$i + 1}`"))?;
            (inner[..close].to_owned(), dollar + 2 + close + 1)
        } else {
            let len = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            (format!("${}", &rest[..len]), dollar + 1 + len)
        };
        let value = evaluate(&code, variables).map_err(|error| match error {
            ExprError::Flaw(flaw) => ExprError::Flaw(ExprFlaw { start: dollar, len: next - dollar, ..flaw }),
            ExprError::Limit(flaw) => {
                ExprError::Limit(ExprFlaw { start: dollar, len: next - dollar, ..flaw })
            }
            ExprError::Reported => error,
        })?;
        match value {
            Value::Number(number) => out += &show_number(&number),
            Value::Text(part) => out += &part,
            other => {
                let message = format!("{} cannot be part of a name", other.describe());
                return Err(ExprError::flaw(
                    dollar,
                    next - dollar,
                    message,
                    "a name is made of words and numbers",
                ));
            }
        }
        if out.len() > MAX_NAME {
            let message = format!("a name of more than {MAX_NAME} bytes");
            return Err(ExprError::flaw(0, next, message, "no name is this long").beyond_limit());
        }
        at = next;
    }
    out.push_str(&text[at..]);
    Ok(out)
}

/// Returns the number of elements that a copy of `value` takes; none for a number, a truth value or a short text.
fn copied(value: &Value) -> u64 {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::Text(text) => text.len() as u64 / 64,
        Value::List(items) => items.iter().map(|item| 1 + copied(&item.value)).sum(),
        Value::Map(entries) => {
            entries.iter().map(|(key, value)| 2 + key.name.len() as u64 / 64 + copied(&value.value)).sum()
        }
    }
}

struct Parser<'a> {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    end: usize,
    variables: &'a dyn Variables,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn take(&mut self, options: &[&str]) -> Option<Token> {
        let token = self.peek()?;
        let found = match &token.lexeme {
            Lexeme::Symbol(symbol) => options.contains(symbol),
            Lexeme::Word(word) => options.contains(&word.as_str()),
            _ => false,
        };
        let token = token.clone();
        found.then(|| {
            self.at += 1;
            token
        })
    }

    fn expect(&mut self, symbol: &str, help: &str) -> Result<(), ExprError> {
        match self.take(&[symbol]) {
            Some(_) => Ok(()),
            None => Err(self.here(&format!("`{symbol}` is missing"), help)),
        }
    }

    fn here(&self, message: &str, help: &str) -> ExprError {
        match self.peek() {
            Some(token) => token.error(message, help),
            None => ExprError::flaw(self.end.saturating_sub(1), 1, message, help),
        }
    }

    /// Parses an operand with `parse`; records the position of all of it.
    fn operand(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<Value, ExprError>,
    ) -> Result<Operand, ExprError> {
        let first = self.at;
        let value = parse(self)?;
        let end = self.tokens[self.at - 1].start + self.tokens[self.at - 1].len;
        let start = self.tokens[first].start;
        let token = Token { lexeme: Lexeme::Symbol(""), start, len: end - start };
        Ok(Operand { value, token })
    }

    fn ternary(&mut self) -> Result<Value, ExprError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let message = format!("an expression may nest {MAX_DEPTH} levels at most");
            return Err(self.here(&message, "compute parts of it under `variables:`"));
        }
        let value = self.or()?;
        let value = if self.take(&["if"]).is_some() {
            let condition = self.operand(Self::or)?.truth()?;
            self.expect("else", "both cases are needed: `8 if $wide else 4`")?;
            let other = self.ternary()?;
            if condition { value } else { other }
        } else {
            value
        };
        self.depth -= 1;
        Ok(value)
    }

    fn or(&mut self) -> Result<Value, ExprError> {
        let mut left = self.operand(Self::and)?;
        while self.take(&["or"]).is_some() {
            let right = self.operand(Self::and)?;
            left.value = Value::Bool(left.truth()? | right.truth()?);
        }
        Ok(left.value)
    }

    fn and(&mut self) -> Result<Value, ExprError> {
        let mut left = self.operand(Self::not)?;
        while self.take(&["and"]).is_some() {
            let right = self.operand(Self::not)?;
            left.value = Value::Bool(left.truth()? & right.truth()?);
        }
        Ok(left.value)
    }

    fn not(&mut self) -> Result<Value, ExprError> {
        let mut negations = 0;
        while self.take(&["not"]).is_some() {
            negations += 1;
        }
        if negations == 0 {
            return self.comparison();
        }
        let value = self.operand(Self::comparison)?.truth()?;
        Ok(Value::Bool(value != (negations % 2 == 1)))
    }

    fn comparison(&mut self) -> Result<Value, ExprError> {
        let left = self.operand(Self::sum)?;
        let Some(token) = self.take(&["==", "!=", "<", "<=", ">", ">="]) else { return Ok(left.value) };
        let right = self.operand(Self::sum)?;
        let Lexeme::Symbol(symbol) = token.lexeme else { return Ok(left.value) };
        if symbol == "==" || symbol == "!=" {
            return Ok(Value::Bool((left.value == right.value) == (symbol == "==")));
        }
        let order = left.number()?.cmp(&right.number()?);
        Ok(Value::Bool(match symbol {
            "<" => order.is_lt(),
            "<=" => order.is_le(),
            ">" => order.is_gt(),
            _ => order.is_ge(),
        }))
    }

    fn sum(&mut self) -> Result<Value, ExprError> {
        let mut left = self.operand(Self::term)?;
        while let Some(token) = self.take(&["+", "-"]) {
            let right = self.operand(Self::term)?;
            left.value = arithmetic(&left, &right, &token)?;
        }
        Ok(left.value)
    }

    fn term(&mut self) -> Result<Value, ExprError> {
        let mut left = self.operand(Self::factor)?;
        while let Some(token) = self.take(&["*", "//", "/", "%"]) {
            let right = self.operand(Self::factor)?;
            left.value = arithmetic(&left, &right, &token)?;
        }
        Ok(left.value)
    }

    fn factor(&mut self) -> Result<Value, ExprError> {
        let mut negate = false;
        let mut signed = false;
        while self.take(&["-"]).is_some() {
            negate = !negate;
            signed = true;
        }
        let mut base = self.operand(Self::primary)?;
        if let Some(token) = self.take(&["**"]) {
            self.depth += 1;
            if self.depth > MAX_DEPTH {
                return Err(token.error("too many powers", "compute parts of it under `variables:`"));
            }
            let exponent = self.operand(Self::factor)?;
            self.depth -= 1;
            base.value = arithmetic(&base, &exponent, &token)?;
        }
        if !signed {
            return Ok(base.value);
        }
        let number = base.number()?;
        Ok(Value::Number(if negate { -number } else { number }))
    }

    fn primary(&mut self) -> Result<Value, ExprError> {
        let Some(token) = self.peek().cloned() else {
            return Err(self.here("a value is missing at the end", "complete the expression: `4 * $width`"));
        };
        self.at += 1;
        let mut value = match &token.lexeme {
            Lexeme::Number(number) => Value::Number(*number),
            Lexeme::Variable(name) => self.variable(name, &token)?,
            Lexeme::Symbol("(") => {
                let value = self.ternary()?;
                self.expect(")", "close the parenthesis")?;
                value
            }
            Lexeme::Symbol("[") => {
                return Err(token
                    .error("a list cannot be written inside an expression", "name it under `variables:`"));
            }
            Lexeme::Symbol(symbol) => {
                return Err(token.error(
                    format!("a value is missing before `{symbol}`"),
                    "an operator needs a value on both sides",
                ));
            }
            Lexeme::Word(word) if word == "true" => Value::Bool(true),
            Lexeme::Word(word) if word == "false" => Value::Bool(false),
            Lexeme::Word(word) if self.take(&["("]).is_some() => self.call(word, &token)?,
            // A bare word is text, so that `$mode == same` works without quotes.
            Lexeme::Word(word) if self.variables.get(word).is_none() => Value::Text(word.clone()),
            Lexeme::Word(word) => {
                return Err(token.error(format!("`{word}` without `$`"), &format!("write `${word}`")));
            }
        };
        while self.take(&["["]).is_some() {
            let index = self.index()?;
            value = item(&value, &index, &token)?.clone();
        }
        Ok(value)
    }

    /// Parses the rest of an index, behind its opening bracket.
    fn index(&mut self) -> Result<Value, ExprError> {
        let index = self.ternary()?;
        self.expect("]", "close the bracket")?;
        Ok(index)
    }

    fn variable(&mut self, name: &str, token: &Token) -> Result<Value, ExprError> {
        let variables = self.variables;
        if let Some(mut value) = variables.get(name) {
            // An item is copied without the list around it.
            while self.take(&["["]).is_some() {
                let index = self.index()?;
                value = item(value, &index, token)?;
            }
            if variables.spend(copied(value)) {
                return Ok(value.clone());
            }
            let message = format!("the lists and texts of the spec have more than {MAX_COPIED} elements");
            let help = "lists inside lists multiply: give a name to what is used";
            return Err(token.error(message, help).beyond_limit());
        }
        if self.variables.failed(name) {
            return Err(ExprError::Reported);
        }
        if self.variables.later(name) {
            let help = format!("`{name}` is defined after it: move it up");
            return Err(token.error(format!("unknown variable `${name}`"), &help));
        }
        let names = self.variables.names();
        let help = suggest(name, names.iter().copied()).map(|close| format!("did you mean `${close}`?"));
        let all = || match names.len() {
            1..=12 => format!(
                "known here: {}",
                names.iter().map(|n| format!("`${n}`")).collect::<Vec<_>>().join(", ")
            ),
            _ => "define it under `variables:` or as an argument of the block".to_owned(),
        };
        Err(token.error(format!("unknown variable `${name}`"), &help.unwrap_or_else(all)))
    }

    fn call(&mut self, name: &str, token: &Token) -> Result<Value, ExprError> {
        let mut arguments = Vec::new();
        if self.take(&[")"]).is_none() {
            loop {
                arguments.push(self.operand(Self::ternary)?);
                if self.take(&[","]).is_none() {
                    break;
                }
            }
            self.expect(")", "close the parenthesis")?;
        }
        if let ("len", [Operand { value: Value::List(list), .. }]) = (name, arguments.as_slice()) {
            return Ok(Value::integer(list.len() as i128));
        }
        let numbers = arguments.iter().map(Operand::number).collect::<Result<Vec<_>, _>>()?;
        let overflow = || token.error("the number is too large", "no real network is this large");
        let result = match (name, numbers.as_slice()) {
            ("min", [_, ..]) => numbers.iter().min().copied(),
            ("max", [_, ..]) => numbers.iter().max().copied(),
            ("floor", [x]) => Some(x.floor()),
            ("ceil", [x]) => Some(x.ceil()),
            ("round", [x]) => Some((x.checked_add(&Number::new(1, 2)).ok_or_else(overflow)?).floor()),
            ("round_to", [_, divisor]) if !divisor.is_positive() => {
                return Err(
                    token.error("the divisor of `round_to` must be positive", "MobileNet rounds to 8")
                );
            }
            ("round_to", [x, divisor]) => Some(round_to(x, divisor).ok_or_else(overflow)?),
            _ => None,
        };
        result.map(Value::Number).ok_or_else(|| {
            match FUNCTIONS.iter().find(|(f, _)| f.split('(').next() == Some(name)) {
                Some((usage, _)) => {
                    let plural = if arguments.len() == 1 { "" } else { "s" };
                    let message = format!("`{name}` with {} argument{plural}", arguments.len());
                    token.error(message, &format!("it is `{usage}`"))
                }
                None => {
                    let all = FUNCTIONS.iter().map(|(f, _)| format!("`{f}`")).collect::<Vec<_>>().join(", ");
                    token.error(format!("unknown function `{name}`"), &format!("known: {all}"))
                }
            }
        })
    }
}

#[cfg(test)]
mod tests;
