//! The interpreter: statements in order, stopping at gates, asking the device for short moments.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::sim::commands::{Call, Reply, apply, copy};
use crate::sim::gate::{Point, PointKind, Verdict};
use crate::sim::lang::ast::{Block, Expr, MenuCommand, Operator, Piece, Statement};
use crate::sim::lang::grammar::{Command, Verb};
use crate::sim::name::Name;
use crate::sim::run::pure::Pure;
use crate::sim::texts::Failure;
use crate::sim::value::{JsonStyle, Value};
use crate::sim::world::World;

/// Why a line ended early.
#[derive(Debug)]
pub(super) enum Halt {
    Parse(String),
    Failed(String),
    /// A gate ended it.
    Abandoned,
    /// The device went down.
    Interrupted,
}

/// One line at work.
pub(super) struct Run<'w> {
    world: &'w Arc<World>,
    line: u64,
    user: Name,
    text: Name,
    /// The boot the line began in.
    boot: Option<u64>,
    scopes: Vec<BTreeMap<String, Value>>,
    out: String,
    step: usize,
    bracket_depth: usize,
}

type Ran<T> = Result<T, Halt>;

impl<'w> Run<'w> {
    pub(super) fn new(
        world: &'w Arc<World>,
        line: u64,
        user: Name,
        text: Name,
        boot: Option<u64>,
    ) -> Self {
        let (scopes, out) = (Vec::new(), String::new());
        Self {
            world,
            line,
            user,
            text,
            boot,
            scopes,
            out,
            step: 0,
            bracket_depth: 0,
        }
    }

    pub(super) fn finish(self) -> String {
        self.out
    }

    pub(super) async fn top(&mut self, block: &Block) -> Ran<()> {
        self.check_power()?;
        self.block(block).await.map(drop)
    }

    /// Runs statements in a scope of their own; the value is that of the last.
    fn block<'s>(&'s mut self, block: &'s Block) -> BoxFuture<'s, Ran<Value>> {
        async move {
            self.scopes.push(BTreeMap::new());
            let mut last = Ok(Value::Nil);
            for statement in &block.0 {
                last = self.statement(statement).await;
                if last.is_err() {
                    break;
                }
            }
            self.scopes.pop();
            last
        }
        .boxed()
    }

    async fn statement(&mut self, statement: &Statement) -> Ran<Value> {
        match statement {
            Statement::Menu(command) => return self.menu_command(command).await,
            Statement::Put(value) => {
                let value = self.optional(value.as_ref()).await?;
                self.out.extend([value.to_string().as_str(), "\r\n"]);
            }
            Statement::Assign {
                name,
                value,
                declares,
            } => {
                let value = self.optional(value.as_ref()).await?;
                self.assign(name, value, *declares);
            }
            Statement::If {
                condition,
                then,
                otherwise,
            } => {
                let chosen = if self.condition(condition).await? {
                    then
                } else {
                    otherwise
                };
                return self.block(chosen).await;
            }
            Statement::Do { body, on_error } => return self.guarded(body, on_error.as_ref()).await,
            Statement::Foreach { name, list, body } => {
                let values = match self.value(list).await? {
                    Value::List(values) => values,
                    single => vec![single],
                };
                for value in values {
                    self.assign(name, value, true);
                    self.block(body).await?;
                }
            }
            Statement::Delay(time) => {
                let time = duration(&self.value(time).await?);
                tokio::time::sleep(time.ok_or_else(|| failed(&Failure::BadOperand))?).await;
                self.check_power()?;
            }
            Statement::Len(value) => {
                return Ok(Value::from(self.value(value).await?.len() as u64));
            }
            Statement::Serialize { value, options } => {
                let value = self.value(value).await?;
                let options = self.optional(options.as_ref()).await?.to_string();
                let style = JsonStyle {
                    integers: self.world.device().personality.json_integers,
                    keep_strings: options.contains("json.no-string-conversion"),
                    pretty: options.contains("json.pretty"),
                };
                return Ok(Value::Text(value.to_json(style)));
            }
            Statement::Error(text) => {
                return Err(Halt::Failed(self.value(text).await?.to_string()));
            }
        }
        Ok(Value::Nil)
    }

    /// `:do {…} on-error={…}` catches runtime errors, and hides their text.
    async fn guarded(&mut self, body: &Block, on_error: Option<&Block>) -> Ran<Value> {
        let depth = self.scopes.len();
        match (self.block(body).await, on_error) {
            (Err(Halt::Failed(_)), Some(on_error)) => {
                self.scopes.truncate(depth);
                self.block(on_error).await
            }
            (result, _) => result,
        }
    }

    fn assign(&mut self, name: &str, value: Value, declares: bool) {
        let known = self
            .scopes
            .iter_mut()
            .rev()
            .find(|scope| scope.contains_key(name));
        let scope = match known {
            Some(scope) if !declares => Some(scope),
            _ => self.scopes.last_mut(),
        };
        if let Some(scope) = scope {
            scope.insert(name.to_owned(), value);
        }
    }

    fn variable(&self, name: &str) -> Value {
        let found = self.scopes.iter().rev().find_map(|scope| scope.get(name));
        found.cloned().unwrap_or(Value::Nil)
    }

    /// A line does not outlive the boot it began in.
    fn check_power(&self) -> Ran<()> {
        let boot = self.world.device().boot();
        if boot.is_some() && boot == self.boot {
            Ok(())
        } else {
            Err(Halt::Interrupted)
        }
    }
}

// === Expressions ===

impl Run<'_> {
    async fn optional(&mut self, expr: Option<&Expr>) -> Ran<Value> {
        match expr {
            Some(expr) => self.value(expr).await,
            None => Ok(Value::Nil),
        }
    }

    async fn value(&mut self, expr: &Expr) -> Ran<Value> {
        let pure = self.resolve(expr).await?;
        pure.eval(&|_| Value::Nil)
            .map_err(|failure| failed(&failure))
    }

    async fn condition(&mut self, expr: &Expr) -> Ran<bool> {
        let pure = self.resolve(expr).await?;
        pure.holds(&|_| Value::Nil)
            .map_err(|failure| failed(&failure))
    }

    /// Looks up variables and runs brackets; what is left depends on a row only.
    fn resolve<'s>(&'s mut self, expr: &'s Expr) -> BoxFuture<'s, Ran<Pure>> {
        async move {
            Ok(match expr {
                Expr::Literal(value) => Pure::Value(value.clone()),
                Expr::Text(pieces) => Pure::Value(Value::Text(self.text(pieces))),
                Expr::Variable(name) => Pure::Value(self.variable(name)),
                Expr::Property(name) => Pure::Property(name.clone()),
                Expr::Bracket(block) => {
                    self.bracket_depth += 1;
                    let value = self.block(block).await;
                    self.bracket_depth -= 1;
                    Pure::Value(value?)
                }
                Expr::Not(inner) => Pure::Not(Box::new(self.resolve(inner).await?)),
                Expr::Binary(operator, left, right) => {
                    let left = self.resolve(left).await?;
                    let right = self.resolve(right).await?;
                    self.binary(*operator, left, right)?
                }
            })
        }
        .boxed()
    }

    fn binary(&self, operator: Operator, left: Pure, right: Pure) -> Ran<Pure> {
        let empty_matches = self.world.device().personality.empty_string_matches;
        Pure::binary(operator, left, right, empty_matches).map_err(|failure| failed(&failure))
    }

    fn text(&self, pieces: &[Piece]) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Variable(name) => self.variable(name).to_string(),
        };
        pieces.iter().map(piece).collect()
    }
}

// === Menu commands ===

impl Run<'_> {
    async fn menu_command(&mut self, parsed: &MenuCommand) -> Ran<Value> {
        let (command, gated) = (parsed.command, self.bracket_depth == 0);
        let step = self.step;
        if gated {
            self.step += 1;
            self.pass(PointKind::BeforeCommand, step, command).await?;
        }
        let call = self.evaluate(parsed).await?;
        if gated && matches!(command.verb, Verb::Set | Verb::Remove) {
            self.pass(PointKind::BetweenFindAndSet, step, command)
                .await?;
        }
        let delay = self.world.device().faults.delay(command.name);
        if let Some(delay) = delay {
            tokio::time::sleep(delay).await;
            self.check_power()?;
        }
        let reply = self.perform(&call).await?;
        self.out.push_str(&reply.printed);
        if command.verb == Verb::MonitorTraffic && !call.flags.iter().any(|flag| flag == "once") {
            // It reports until the channel is closed, which drops this future.
            std::future::pending::<()>().await;
        }
        if gated {
            self.pass(PointKind::AfterCommand, step, command).await?;
        }
        Ok(reply.value)
    }

    async fn evaluate(&mut self, parsed: &MenuCommand) -> Ran<Call> {
        let (mut positional, mut named) = (Vec::new(), Vec::new());
        for value in &parsed.positional {
            positional.push(self.value(value).await?);
        }
        for (name, value) in &parsed.named {
            named.push((name.clone(), self.value(value).await?));
        }
        let filter = match &parsed.filter {
            Some(filter) => Some(self.resolve(filter).await?),
            None => None,
        };
        let (command, flags) = (parsed.command, parsed.flags.clone());
        Ok(Call {
            command,
            positional,
            named,
            flags,
            filter,
        })
    }

    async fn perform(&self, call: &Call) -> Ran<Reply> {
        let located = |failure: Failure| self.located(&failure, call.command);
        let fault = self.world.device().faults.take_failure(call.command.name);
        if let Some(fault) = fault.as_ref().filter(|fault| !fault.after_effect) {
            return Err(located(Failure::Given(fault.text.clone())));
        }
        let reply = if call.command.verb == Verb::Copy {
            copy::copy(self.world, &self.user, call)
                .await
                .map_err(located)?
        } else {
            // Two statements: the lock must be free again when the error is worded.
            let applied = self.apply(call)?;
            applied.map_err(located)?
        };
        match fault {
            Some(fault) => Err(located(Failure::Given(fault.text))),
            None => Ok(reply),
        }
    }

    /// Applies a command if the device has not gone down since the last look.
    fn apply(&self, call: &Call) -> Ran<Result<Reply, Failure>> {
        let mut device = self.world.device();
        if device.boot() == self.boot {
            Ok(apply(&mut device, &self.user, call))
        } else {
            Err(Halt::Interrupted)
        }
    }

    fn located(&self, failure: &Failure, command: &Command) -> Halt {
        if self.world.device().personality.error_location {
            Halt::Failed(format!("{failure} ({}; line 1)", command.name))
        } else {
            failed(failure)
        }
    }

    async fn pass(&self, kind: PointKind, step: usize, command: &Command) -> Ran<()> {
        if let Some(gate) = self.world.gate() {
            let (user, text) = (self.user.clone(), self.text.clone());
            let point = Point {
                line: self.line,
                user,
                text,
                step,
                kind,
                verb: command.name,
            };
            if gate.at(&point).await == Verdict::Abandon {
                return Err(Halt::Abandoned);
            }
        }
        self.check_power()
    }
}

fn failed(failure: &Failure) -> Halt {
    Halt::Failed(failure.to_string())
}

/// `3` and `3s` are seconds; `500ms` milliseconds.
fn duration(value: &Value) -> Option<Duration> {
    let text = value.to_string();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().ok()?;
    match text.get(digits.len()..)? {
        "" | "s" => Some(Duration::from_secs(number)),
        "ms" => Some(Duration::from_millis(number)),
        "m" => Some(Duration::from_secs(number * 60)),
        _ => None,
    }
}
