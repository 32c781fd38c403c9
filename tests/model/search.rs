//! Runs a search and tells what it found.

use std::fmt::Debug;
use std::hash::Hash;
use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

use super::state::Breach;

/// A model that can tell what happens in it.
pub(crate) trait Tale: Model + Clone + Send + Sync + 'static {
    /// The same, with names that keep their numbers.
    fn for_people(&self) -> Self;
    /// What `action` is.
    fn tell(&self, state: &Self::State, action: Self::Action) -> String;
    /// What can be seen of a state.
    fn show(&self, state: &Self::State) -> String;
    /// What went wrong.
    fn breach(&self, state: &Self::State) -> Option<Breach>;
}

/// What a search came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Different states seen.
    pub(crate) states: usize,
    /// Every state within the bounds was seen.
    pub(crate) exhausted: bool,
    /// The shortest way to the breach.
    pub(crate) counterexample: Option<Counterexample>,
}

/// A way from the start to a breach.
#[derive(Debug)]
pub(crate) struct Counterexample {
    pub(crate) breach: Breach,
    /// What happened, and what stood in the register afterwards.
    pub(crate) steps: Vec<String>,
}

/// Searches breadth first, through at most `most` transitions. One thread, so that what is found first is the shortest.
pub(crate) fn search<T>(title: &str, model: &T, most: usize) -> Outcome
where
    T: Tale,
    T::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    T::Action: Copy + Debug + PartialEq,
{
    let began = Instant::now();
    let checker = model
        .clone()
        .checker()
        .finish_when(HasDiscoveries::Any)
        .target_state_count(most)
        .spawn_bfs()
        .join();
    let counterexample = checker
        .discovery("safe")
        .map(|path| retell(model, &path.into_actions()));
    let outcome = Outcome {
        states: checker.unique_state_count(),
        exhausted: counterexample.is_none() && checker.state_count() < most,
        counterexample,
    };
    println!(
        "{title}: {} states ({} transitions), deepest {}, {:.1} s: {}",
        outcome.states,
        checker.state_count(),
        checker.max_depth() - 1,
        began.elapsed().as_secs_f32(),
        outcome.verdict()
    );
    for (number, step) in outcome
        .counterexample
        .iter()
        .flat_map(|found| &found.steps)
        .enumerate()
    {
        println!("  {:2}. {step}", number + 1);
    }
    outcome
}

impl Outcome {
    fn verdict(&self) -> String {
        match &self.counterexample {
            Some(found) => format!("{:?} after {} steps", found.breach, found.steps.len()),
            None if self.exhausted => "no breach, all states within the bounds seen".to_owned(),
            None => "gave up".to_owned(),
        }
    }
}

/// Walks the way again, for people.
fn retell<T>(model: &T, actions: &[T::Action]) -> Counterexample
where
    T: Tale,
    T::Action: Copy,
{
    let model = model.for_people();
    let mut state = model.init_states().remove(0);
    let mut steps = Vec::new();
    for action in actions.iter().copied() {
        let what = model.tell(&state, action);
        let next = model.next_state(&state, action);
        state = next.expect("the search went this way");
        steps.push(format!("{what:<75} {}", model.show(&state)));
    }
    Counterexample {
        breach: model.breach(&state).expect("the search ended at a breach"),
        steps,
    }
}
