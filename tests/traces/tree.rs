//! One trace as a tree.

use crate::collector::Span;

/// A trace whose spans have all arrived, without the posting of events: nobody waits for that, so whether
/// it has begun or ended by now is a matter of chance.
pub(crate) struct Tree(Vec<Span>);

// === impl Tree ===

impl Tree {
    /// The trace that a span belongs to.
    pub(crate) fn around(spans: &[Span], span: &Span) -> Self {
        let mut spans: Vec<_> = spans
            .iter()
            .filter(|other| other.trace == span.trace && !is_aside(other))
            .cloned()
            .collect();
        spans.sort_by_key(|span| (span.start, std::cmp::Reverse(span.end)));
        Self(spans)
    }

    /// The span without a parent in it.
    pub(crate) fn root(&self) -> &Span {
        let mut roots = self.0.iter().filter(|span| self.parent(span).is_none());
        let root = roots.next().expect("a trace has a first span");
        let others: Vec<_> = roots.map(|span| &span.name).collect();
        assert!(others.is_empty(), "{others:?} have no parent in the trace");
        root
    }

    pub(crate) fn parent(&self, span: &Span) -> Option<&Span> {
        self.0.iter().find(|other| other.id == span.parent)
    }

    pub(crate) fn children(&self, span: &Span) -> Vec<&Span> {
        let children = self.0.iter().filter(|other| other.parent == span.id);
        children.collect()
    }

    /// The one span of this name.
    pub(crate) fn only(&self, name: &str) -> &Span {
        let found: Vec<_> = self.0.iter().filter(|span| span.name == name).collect();
        assert_eq!(found.len(), 1, "{name} in\n{}", self.shape());
        found[0]
    }

    /// The commands to the RDS, in order.
    pub(crate) fn commands(&self) -> Vec<&Span> {
        let commands = self.0.iter().filter(|span| span.name == "rds.command");
        commands.collect()
    }

    /// Every span on a line, children below their parents and to the right, in order of time.
    pub(crate) fn shape(&self) -> String {
        let mut text = String::new();
        let roots = self.0.iter().filter(|span| self.parent(span).is_none());
        for root in roots {
            self.draw(root, 0, &mut text);
        }
        text
    }

    fn draw(&self, span: &Span, depth: usize, text: &mut String) {
        let words = [
            "rds.verb",
            "k8s.resource",
            "operation",
            "decided",
            "register",
            "outcome",
        ];
        let words = words.iter().map(|key| span.get(key));
        let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
        let line = format!("{}{} {}", "  ".repeat(depth), span.name, words.join(" "));
        text.push_str(line.trim_end());
        text.push('\n');
        for child in self.children(span) {
            self.draw(child, depth + 1, text);
        }
    }

    /// Children lie within their parents, and what is done one after the other adds up to no more
    /// than the whole.
    pub(crate) fn assert_times_add_up(&self) {
        for span in &self.0 {
            assert!(span.start <= span.end, "{}", span.name);
            let mut children = self.children(span);
            for child in &children {
                let is_within = span.start <= child.start && child.end <= span.end;
                assert!(
                    is_within,
                    "{} outlives {}\n{}",
                    child.name,
                    span.name,
                    self.shape()
                );
            }
            // Objects are read at the same time where that is of use.
            children.retain(|child| !child.name.starts_with("k8s."));
            let one_by_one = children.windows(2).all(|two| two[0].end <= two[1].start);
            assert!(one_by_one, "below {}\n{}", span.name, self.shape());
            let sum: u64 = children.iter().map(|child| child.end - child.start).sum();
            assert!(sum <= span.end - span.start, "{}", span.name);
        }
    }
}

fn is_aside(span: &Span) -> bool {
    span.name == "event.post" || span.get("k8s.resource") == "events"
}
