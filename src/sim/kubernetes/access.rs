//! Who may do what: bearer tokens and the RBAC rules of their owners.

use std::collections::BTreeMap;

use k8s_openapi::api::rbac::v1::PolicyRule;

use super::refusal::Refusal;
use super::request::Call;

/// The tokens that are let in. Without any, everybody may do everything.
#[derive(Clone, Debug, Default)]
pub struct Access {
    accounts: BTreeMap<String, Account>,
}

/// What the owner of a token may do, in the words of the Roles bound to it.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// As refusals name it: `system:serviceaccount:<namespace>:<name>`.
    pub user: String,
    /// Rules of ClusterRoles: everywhere.
    pub cluster: Vec<PolicyRule>,
    /// Rules of Roles, by namespace.
    pub namespaces: BTreeMap<String, Vec<PolicyRule>>,
}

// === impl Access ===

impl Access {
    /// Lets one more token in.
    #[must_use]
    pub fn with(mut self, token: &str, account: Account) -> Self {
        self.accounts.insert(token.to_owned(), account);
        self
    }

    /// # Errors
    /// 401 for an unknown token, 403 for what its owner may not do.
    pub(super) fn check(&self, call: &Call) -> Result<(), Refusal> {
        if self.accounts.is_empty() {
            return Ok(());
        }
        let account = self
            .accounts
            .get(&call.token)
            .ok_or_else(|| Refusal::new(401, "Unauthorized", "Unauthorized"))?;
        let namespace = call.target.namespace.as_ref();
        let local = namespace.and_then(|namespace| account.namespaces.get(namespace));
        let mut rules = account.cluster.iter().chain(local.into_iter().flatten());
        if rules.any(|rule| allows(rule, call)) {
            return Ok(());
        }
        let scope = namespace.map_or_else(
            || "at the cluster scope".to_owned(),
            |namespace| format!("in the namespace \"{namespace}\""),
        );
        let kind = call.target.kind;
        let message = format!(
            "{} is forbidden: User \"{}\" cannot {} resource \"{}\" in API group \"{}\" {scope}",
            kind.qualified(),
            account.user,
            call.verb.as_str(),
            call.target.resource(),
            kind.group,
        );
        Err(Refusal::new(403, "Forbidden", message))
    }
}

fn allows(rule: &PolicyRule, call: &Call) -> bool {
    let has =
        |list: &[String], wanted: &str| list.iter().any(|entry| entry == "*" || entry == wanted);
    let names = rule.resource_names.as_deref().unwrap_or_default();
    has(&rule.verbs, call.verb.as_str())
        && has(
            rule.api_groups.as_deref().unwrap_or_default(),
            call.target.kind.group,
        )
        && has(
            rule.resources.as_deref().unwrap_or_default(),
            &call.target.resource(),
        )
        && (names.is_empty() || names.iter().any(|name| name == call.target.name()))
}
