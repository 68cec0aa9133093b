//! Arithmetic in a spec: `4 * $width`, `$depth - 1`, `round_to($width * $alpha, 8)`, `$i % 2 == 0 and not $last`.
//!
//! Numbers are exact fractions, so `$width / 4 * 3` is what it says; an argument that must be whole says so when it is
//! not. Precedence is Python's. There are no loops, no side effects and no way out: an expression only reads variables.

use num_traits::{CheckedAdd, CheckedDiv, CheckedMul, CheckedSub, Signed as _, ToPrimitive as _, Zero as _};

use crate::diagnostic::suggest;
use crate::value::{Located, Number, Value, parse_decimal, show_number};

/// Where an expression goes wrong: byte offset and length within its text, the flaw, and the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExprError {
    /// First byte of the offending token.
    pub start: usize,
    /// Its length in bytes.
    pub len: usize,
    /// The flaw.
    pub message: String,
    /// The remedy.
    pub help: Option<String>,
}

/// Variables that an expression can read.
pub trait Variables {
    /// The value of `name`.
    fn get(&self, name: &str) -> Option<&Value>;
    /// All names, for suggestions.
    fn names(&self) -> Vec<&str>;
}

/// Deepest nesting of parentheses and operators, so that hostile text cannot exhaust the stack.
const MAX_DEPTH: usize = 64;

/// Functions by name, with what they do.
pub const FUNCTIONS: &[(&str, &str)] = &[
    ("min(a, b, ...)", "the smallest"),
    ("max(a, b, ...)", "the largest"),
    ("floor(x)", "rounded down"),
    ("ceil(x)", "rounded up"),
    ("round(x)", "rounded to the nearest, halves up"),
    ("round_to(x, d)", "the nearest multiple of d, never under 0.9 x (MobileNet's _make_divisible)"),
    ("len(list)", "the number of items of a list"),
];

/// Whether `text` is an expression rather than a plain word: it reads a variable, or is arithmetic on numbers.
pub fn is_expression(text: &str) -> bool {
    let arithmetic = text.starts_with(|c: char| c.is_ascii_digit() || c == '(')
        && text.contains(['+', '-', '*', '/', '%'])
        && text.chars().all(|c| c.is_ascii_digit() || " +-*/%().".contains(c));
    text.contains('$') || arithmetic
}

/// The value of the expression `text`.
pub fn evaluate(text: &str, variables: &dyn Variables) -> Result<Value, ExprError> {
    let tokens = tokenize(text)?;
    let mut parser = Parser { tokens, at: 0, depth: 0, end: text.len(), variables };
    let value = parser.ternary()?;
    match parser.peek() {
        None => Ok(value),
        Some(token) => {
            Err(token.error("nothing can stand here", Some("an operator is missing before it".into())))
        }
    }
}

/// `text` with every `$name` and `${expression}` replaced by its value: for ids.
pub fn interpolate(text: &str, variables: &dyn Variables) -> Result<String, ExprError> {
    let mut out = String::new();
    let mut at = 0;
    while let Some(dollar) = text[at..].find('$').map(|i| i + at) {
        out.push_str(&text[at..dollar]);
        let rest = &text[dollar + 1..];
        let (code, next) = if let Some(inner) = rest.strip_prefix('{') {
            let close = inner.find('}').ok_or_else(|| ExprError {
                start: dollar,
                len: 2,
                message: "`${` without `}`".into(),
                help: Some("close it: `enc${$i + 1}`".into()),
            })?;
            (inner[..close].to_owned(), dollar + 2 + close + 1)
        } else {
            let len = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            (format!("${}", &rest[..len]), dollar + 1 + len)
        };
        let value = evaluate(&code, variables).map_err(|mut error| {
            error.start = dollar;
            error.len = next - dollar;
            error
        })?;
        match value {
            Value::Number(number) => out += &show_number(&number),
            Value::Text(part) => out += &part,
            other => {
                return Err(ExprError {
                    start: dollar,
                    len: next - dollar,
                    message: format!("{} cannot be part of a name", other.describe()),
                    help: None,
                });
            }
        }
        at = next;
    }
    out.push_str(&text[at..]);
    Ok(out)
}

#[derive(Debug, Clone, PartialEq)]
enum Lexeme {
    Number(Number),
    Variable(String),
    Word(String),
    Symbol(&'static str),
}

#[derive(Debug, Clone)]
struct Token {
    lexeme: Lexeme,
    start: usize,
    len: usize,
}

impl Token {
    fn error(&self, message: impl Into<String>, help: Option<String>) -> ExprError {
        ExprError { start: self.start, len: self.len, message: message.into(), help }
    }
}

const SYMBOLS: &[&str] =
    &["**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "<", ">", "(", ")", "[", "]", ","];

fn tokenize(text: &str) -> Result<Vec<Token>, ExprError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    let word = |from: usize| {
        let rest = &text[from..];
        rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len())
    };
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let (lexeme, len) = if c.is_whitespace() {
            at += c.len_utf8();
            continue;
        } else if c == '$' {
            let len = word(at + 1);
            if len == 0 {
                return Err(ExprError {
                    start: at,
                    len: 1,
                    message: "a variable's name must follow `$`".into(),
                    help: Some("for example `$width`".into()),
                });
            }
            (Lexeme::Variable(text[at + 1..at + 1 + len].to_owned()), len + 1)
        } else if c.is_ascii_digit() {
            let len = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
            let number = parse_decimal(&rest[..len]).ok_or_else(|| ExprError {
                start: at,
                len,
                message: format!("`{}` is not a number", &rest[..len]),
                help: None,
            })?;
            (Lexeme::Number(number), len)
        } else if c.is_ascii_alphabetic() || c == '_' {
            (Lexeme::Word(rest[..word(at)].to_owned()), word(at))
        } else if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            (Lexeme::Symbol(symbol), symbol.len())
        } else {
            return Err(ExprError {
                start: at,
                len: c.len_utf8(),
                message: format!("`{c}` has no meaning in an expression"),
                help: Some("operators: + - * / // % ** == != < <= > >= and or not, `a if c else b`".into()),
            });
        };
        tokens.push(Token { lexeme, start: at, len });
        at += len;
    }
    Ok(tokens)
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

    fn expect(&mut self, symbol: &str) -> Result<(), ExprError> {
        match self.take(&[symbol]) {
            Some(_) => Ok(()),
            None => Err(self.here(&format!("`{symbol}` is missing"))),
        }
    }

    fn here(&self, message: &str) -> ExprError {
        match self.peek() {
            Some(token) => token.error(message, None),
            None => {
                ExprError { start: self.end.saturating_sub(1), len: 1, message: message.into(), help: None }
            }
        }
    }

    fn ternary(&mut self) -> Result<Value, ExprError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.here(&format!("an expression may nest {MAX_DEPTH} levels at most")));
        }
        let value = self.or()?;
        let value = if let Some(token) = self.take(&["if"]) {
            let condition = self.or()?;
            let condition = truth(&condition, &token)?;
            self.expect("else")?;
            let other = self.ternary()?;
            if condition { value } else { other }
        } else {
            value
        };
        self.depth -= 1;
        Ok(value)
    }

    fn or(&mut self) -> Result<Value, ExprError> {
        let mut left = self.and()?;
        while let Some(token) = self.take(&["or"]) {
            let right = self.and()?;
            left = Value::Bool(truth(&left, &token)? | truth(&right, &token)?);
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Value, ExprError> {
        let mut left = self.not()?;
        while let Some(token) = self.take(&["and"]) {
            let right = self.not()?;
            left = Value::Bool(truth(&left, &token)? & truth(&right, &token)?);
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Value, ExprError> {
        let mut negations: Vec<Token> = Vec::new();
        while let Some(token) = self.take(&["not"]) {
            negations.push(token);
        }
        let mut value = self.comparison()?;
        for token in negations {
            value = Value::Bool(!truth(&value, &token)?);
        }
        Ok(value)
    }

    fn comparison(&mut self) -> Result<Value, ExprError> {
        let left = self.sum()?;
        let Some(token) = self.take(&["==", "!=", "<", "<=", ">", ">="]) else { return Ok(left) };
        let right = self.sum()?;
        let Lexeme::Symbol(symbol) = token.lexeme else { return Ok(left) };
        if symbol == "==" || symbol == "!=" {
            return Ok(Value::Bool((left == right) == (symbol == "==")));
        }
        let order = number(&left, &token)?.cmp(&number(&right, &token)?);
        Ok(Value::Bool(match symbol {
            "<" => order.is_lt(),
            "<=" => order.is_le(),
            ">" => order.is_gt(),
            _ => order.is_ge(),
        }))
    }

    fn sum(&mut self) -> Result<Value, ExprError> {
        let mut left = self.term()?;
        while let Some(token) = self.take(&["+", "-"]) {
            let right = self.term()?;
            left = arithmetic(&left, &right, &token)?;
        }
        Ok(left)
    }

    fn term(&mut self) -> Result<Value, ExprError> {
        let mut left = self.factor()?;
        while let Some(token) = self.take(&["*", "//", "/", "%"]) {
            let right = self.factor()?;
            left = arithmetic(&left, &right, &token)?;
        }
        Ok(left)
    }

    fn factor(&mut self) -> Result<Value, ExprError> {
        let mut negate = false;
        let mut sign = None;
        while let Some(token) = self.take(&["-"]) {
            negate = !negate;
            sign = Some(token);
        }
        let mut value = self.primary()?;
        if let Some(token) = self.take(&["**"]) {
            self.depth += 1;
            if self.depth > MAX_DEPTH {
                return Err(token.error("too many powers", None));
            }
            let exponent = self.factor()?;
            self.depth -= 1;
            value = arithmetic(&value, &exponent, &token)?;
        }
        match sign {
            Some(token) if negate => Ok(Value::Number(-number(&value, &token)?)),
            _ => Ok(value),
        }
    }

    fn primary(&mut self) -> Result<Value, ExprError> {
        let Some(token) = self.peek().cloned() else {
            return Err(self.here("a value is missing at the end"));
        };
        self.at += 1;
        let mut value = match &token.lexeme {
            Lexeme::Number(number) => Value::Number(*number),
            Lexeme::Variable(name) => self.variable(name, &token)?,
            Lexeme::Symbol("(") => {
                let value = self.ternary()?;
                self.expect(")")?;
                value
            }
            Lexeme::Symbol("[") => {
                return Err(token.error("a list cannot be written inside an expression", None));
            }
            Lexeme::Symbol(symbol) => {
                return Err(token.error(format!("a value is missing before `{symbol}`"), None));
            }
            Lexeme::Word(word) if word == "true" => Value::Bool(true),
            Lexeme::Word(word) if word == "false" => Value::Bool(false),
            Lexeme::Word(word) if self.take(&["("]).is_some() => self.call(word, &token)?,
            // A bare word is text, so that `$mode == same` reads as it should.
            Lexeme::Word(word) if self.variables.get(word).is_none() => Value::Text(word.clone()),
            Lexeme::Word(word) => {
                return Err(token.error(format!("`{word}` without `$`"), Some(format!("write `${word}`"))));
            }
        };
        while self.take(&["["]).is_some() {
            let index = self.ternary()?;
            self.expect("]")?;
            value = item(&value, &index, &token)?;
        }
        Ok(value)
    }

    fn variable(&self, name: &str, token: &Token) -> Result<Value, ExprError> {
        if let Some(value) = self.variables.get(name) {
            return Ok(value.clone());
        }
        let names = self.variables.names();
        let help = suggest(name, names.iter().copied()).map(|close| format!("did you mean `${close}`?"));
        let all = || match names.len() {
            0 => "none is defined: add it under `variables:`".to_owned(),
            1..=12 => format!(
                "known here: {}",
                names.iter().map(|n| format!("`${n}`")).collect::<Vec<_>>().join(", ")
            ),
            _ => "define it under `variables:` or as an argument of the block".to_owned(),
        };
        Err(token.error(format!("unknown variable `${name}`"), Some(help.unwrap_or_else(all))))
    }

    fn call(&mut self, name: &str, token: &Token) -> Result<Value, ExprError> {
        let mut arguments = Vec::new();
        if self.take(&[")"]).is_none() {
            loop {
                arguments.push(self.ternary()?);
                if self.take(&[","]).is_none() {
                    break;
                }
            }
            self.expect(")")?;
        }
        if let ("len", [Value::List(list)]) = (name, arguments.as_slice()) {
            return Ok(Value::integer(list.len() as i128));
        }
        let numbers = arguments.iter().map(|value| number(value, token)).collect::<Result<Vec<_>, _>>()?;
        let overflow = || token.error("the number is too large", None);
        let result = match (name, numbers.as_slice()) {
            ("min", [_, ..]) => numbers.iter().min().copied(),
            ("max", [_, ..]) => numbers.iter().max().copied(),
            ("floor", [x]) => Some(x.floor()),
            ("ceil", [x]) => Some(x.ceil()),
            ("round", [x]) => Some((x.checked_add(&Number::new(1, 2)).ok_or_else(overflow)?).floor()),
            ("round_to", [_, divisor]) if !divisor.is_positive() => {
                return Err(token.error("the divisor of `round_to` must be positive", None));
            }
            ("round_to", [x, divisor]) => Some(round_to(x, divisor).ok_or_else(overflow)?),
            _ => None,
        };
        result.map(Value::Number).ok_or_else(|| {
            match FUNCTIONS.iter().find(|(f, _)| f.split('(').next() == Some(name)) {
                Some((usage, _)) => token.error(
                    format!("`{name}` with {} arguments", arguments.len()),
                    Some(format!("it is `{usage}`")),
                ),
                None => {
                    let all = FUNCTIONS.iter().map(|(f, _)| format!("`{f}`")).collect::<Vec<_>>().join(", ");
                    token.error(format!("unknown function `{name}`"), Some(format!("known: {all}")))
                }
            }
        })
    }
}

/// MobileNet's `_make_divisible`: the nearest multiple of `divisor`, at least `divisor`, never under 0.9 x
/// (torchvision models/_utils.py).
fn round_to(x: &Number, divisor: &Number) -> Option<Number> {
    let half = divisor.checked_div(&Number::from_integer(2))?;
    let steps = x.checked_add(&half)?.checked_div(divisor)?.floor();
    let rounded = steps.checked_mul(divisor)?.max(*divisor);
    let least = x.checked_mul(&Number::new(9, 10))?;
    if rounded < least { rounded.checked_add(divisor) } else { Some(rounded) }
}

fn number(value: &Value, token: &Token) -> Result<Number, ExprError> {
    match value {
        Value::Number(number) => Ok(*number),
        other => Err(token.error(format!("expected a number, found {}", other.describe()), None)),
    }
}

fn truth(value: &Value, token: &Token) -> Result<bool, ExprError> {
    match value {
        Value::Bool(value) => Ok(*value),
        other => Err(token.error(
            format!("expected `true` or `false`, found {}", other.describe()),
            Some("compare it: `$stride > 1`".into()),
        )),
    }
}

fn item(value: &Value, index: &Value, token: &Token) -> Result<Value, ExprError> {
    let (Value::List(list), Value::Number(at)) = (value, index) else {
        return Err(token.error(format!("{} has no item {}", value.describe(), index.describe()), None));
    };
    let found = if at.is_integer() { at.to_usize().and_then(|i| list.get(i)) } else { None };
    match found {
        Some(Located { value, .. }) => Ok(value.clone()),
        None => Err(token.error(
            format!("the list has {} items, item {} does not exist", list.len(), show_number(at)),
            Some("the first item is number 0".into()),
        )),
    }
}

fn arithmetic(left: &Value, right: &Value, token: &Token) -> Result<Value, ExprError> {
    let (a, b) = (number(left, token)?, number(right, token)?);
    let Lexeme::Symbol(symbol) = token.lexeme else { return Ok(left.clone()) };
    if matches!(symbol, "/" | "//" | "%") && b.is_zero() {
        return Err(token.error("division by zero", None));
    }
    let result = match symbol {
        "+" => a.checked_add(&b),
        "-" => a.checked_sub(&b),
        "*" => a.checked_mul(&b),
        "/" => a.checked_div(&b),
        "//" => a.checked_div(&b).map(|quotient| quotient.floor()),
        "%" => {
            let quotient = a.checked_div(&b).map(|quotient| quotient.floor());
            quotient.and_then(|q| q.checked_mul(&b)).and_then(|whole| a.checked_sub(&whole))
        }
        _ => {
            let exponent = if b.is_integer() { b.to_u32().filter(|&e| e <= 128) } else { None };
            let Some(exponent) = exponent else {
                return Err(token.error("a power must be a whole number from 0 to 128", None));
            };
            (0..exponent).try_fold(Number::from_integer(1), |power, _| power.checked_mul(&a))
        }
    };
    result.map(Value::Number).ok_or_else(|| token.error("the result is too large", None))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Two;

    impl Variables for Two {
        fn get(&self, name: &str) -> Option<&Value> {
            static WIDTH: Value = Value::Bool(true);
            (name == "yes").then_some(&WIDTH)
        }

        fn names(&self) -> Vec<&str> {
            vec!["yes"]
        }
    }

    fn eval(text: &str) -> Result<Value, String> {
        evaluate(text, &Two).map_err(|error| error.message)
    }

    #[test]
    fn precedence_is_pythons() {
        for (text, value) in [
            ("1 + 2 * 3", 7),
            ("(1 + 2) * 3", 9),
            ("-2 ** 2", -4),
            ("2 ** 3 ** 2", 512),
            ("7 // 2", 3),
            ("-7 // 2", -4),
            ("-7 % 3", 2),
            ("8 / 4 / 2", 1),
            ("1 if $yes else 2", 1),
            ("1 if not $yes else 2", 2),
            ("3 * 4 / 3", 4),
            ("min(3, 1, 2) + max(1, 2)", 3),
            ("round(2.5) + floor(2.5) + ceil(2.1)", 8),
        ] {
            assert_eq!(eval(text), Ok(Value::integer(value)), "{text}");
        }
    }

    #[test]
    fn widths_round_as_mobilenet_rounds_them() {
        // torchvision _make_divisible(v, 8) for v = 32 * 0.35 ... : computed with torchvision's formula.
        for (x, rounded) in
            [("11.2", 16), ("32", 32), ("12", 16), ("11.9", 16), ("16.8", 16), ("3", 8), ("24.5", 24)]
        {
            assert_eq!(eval(&format!("round_to({x}, 8)")), Ok(Value::integer(rounded)), "{x}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (text, message) in [
            ("1 +", "a value is missing at the end"),
            ("1 2", "nothing can stand here"),
            ("$no", "unknown variable `$no`"),
            ("1 / 0", "division by zero"),
            ("10 ** 100", "the result is too large"),
            ("(1", "`)` is missing"),
            ("1 ; 2", "`;` has no meaning in an expression"),
            ("not 3", "expected `true` or `false`, found the number 3"),
            ("f(1)", "unknown function `f`"),
        ] {
            assert_eq!(eval(text), Err(message.to_owned()), "{text}");
        }
        assert!(evaluate(&"(".repeat(10_000), &Two).is_err());
        assert!(evaluate(&"2**".repeat(10_000), &Two).is_err());
        assert!(evaluate(&"-".repeat(100_000), &Two).is_err());
    }
}
