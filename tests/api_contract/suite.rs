//! The list of tests, and how they are run: each rule on the stand-in and on a real API server, under
//! names that begin with which of the two it was.

use std::process::ExitCode;
use std::sync::Arc;

use futures::future::LocalBoxFuture;
use libtest_mimic::{Arguments, Completion, Failed, Trial};

use super::servers::{NoServer, RealServer, Server};
use super::{
    access, caches, deletion, events, faults, leases, limits, lists, objects, status, watches,
};

/// One test.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    /// Where it stands: `api_contract::api_contract::leases`.
    pub(super) module: &'static str,
    pub(super) name: &'static str,
    pub(super) run: fn(Server) -> LocalBoxFuture<'static, ()>,
}

/// A table of tests that are given a server. The compiler finds the one that was forgotten: nobody
/// else uses it.
macro_rules! every_server {
    ($($test:ident),* $(,)?) => {
        &[$($crate::api_contract::suite::Case {
            module: module_path!(),
            name: stringify!($test),
            run: |server| Box::pin($test(server)),
        }),*]
    };
}

/// A table of tests of what only the stand-in can be made to do. They start it themselves.
macro_rules! stand_in_only {
    ($($test:ident),* $(,)?) => {
        &[$($crate::api_contract::suite::Case {
            module: module_path!(),
            name: stringify!($test),
            run: |_| Box::pin($test()),
        }),*]
    };
}

pub(crate) use {every_server, stand_in_only};

const ON_EVERY_SERVER: [&[Case]; 9] = [
    access::ON_EVERY_SERVER,
    caches::ON_EVERY_SERVER,
    deletion::ON_EVERY_SERVER,
    events::ON_EVERY_SERVER,
    leases::ON_EVERY_SERVER,
    lists::ON_EVERY_SERVER,
    objects::ON_EVERY_SERVER,
    status::ON_EVERY_SERVER,
    watches::ON_EVERY_SERVER,
];

const ON_THE_STAND_IN: [&[Case]; 6] = [
    access::ON_THE_STAND_IN,
    caches::ON_THE_STAND_IN,
    faults::ON_THE_STAND_IN,
    limits::ON_THE_STAND_IN,
    lists::ON_THE_STAND_IN,
    watches::ON_THE_STAND_IN,
];

/// Runs what the command line asks for. The real server is started by the first test that needs it
/// and gone when this returns.
pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let real = Arc::new(RealServer::default());
    let every = ON_EVERY_SERVER.into_iter().flatten();
    let own = ON_THE_STAND_IN.into_iter().flatten();
    let mut trials = Vec::new();
    for case in every.clone().chain(own) {
        trials.push(on_stand_in(*case));
    }
    for case in every {
        trials.push(on_real(*case, Arc::clone(&real)));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if conclusion.has_failed() {
        real.keep();
    }
    conclusion.exit_code()
}

fn on_stand_in(case: Case) -> Trial {
    Trial::test(case.title("stand_in"), move || {
        alone((case.run)(Server::StandIn));
        Ok(())
    })
}

fn on_real(case: Case, real: Arc<RealServer>) -> Trial {
    Trial::ignorable_test(case.title("real"), move || match real.config() {
        Ok(config) => {
            alone((case.run)(Server::Real(Box::new(config.clone()))));
            Ok(Completion::Completed)
        }
        Err(NoServer::Unavailable(why)) => Ok(Completion::ignored_with(why)),
        Err(NoServer::Failed(why)) => Err(Failed::from(why)),
    })
}

/// Runs a test on a runtime of its own, as `#[tokio::test]` does.
fn alone(test: LocalBoxFuture<'_, ()>) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap().block_on(test);
}

impl Case {
    /// `stand_in::leases::a_lease_is_created`.
    fn title(&self, server: &str) -> String {
        let module = self.module.rsplit("::").next().unwrap_or_default();
        format!("{server}::{module}::{}", self.name)
    }
}
