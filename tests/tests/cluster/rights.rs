//! What the shipped Role lets a parent do. All other cases run with it alone, so it is enough; here it is no more than that.

use std::process::Stdio;

use crate::{
    case::{Case, case},
    cluster::{Cluster, SERVICE_ACCOUNT},
    kubectl::command,
};

pub(crate) const CASES: &[Case] = &[case!(the_shipped_role_allows_what_a_parent_does_and_no_more)];

mod the_shipped_role_allows_what_a_parent_does_and_no_more {
    use super::*;

    pub(super) async fn parent() {}

    pub(super) fn test(cluster: &Cluster, _: &Case) {
        let account = format!("system:serviceaccount:{}:{SERVICE_ACCOUNT}", cluster.namespace);
        let may = |verb: &str, what: &str| {
            let (what, part) = what.split_once('/').unwrap_or((what, ""));
            let asked = command(&cluster.namespace)
                .args(["auth", "can-i", verb, what, "--subresource", part, "--as", &account, "--quiet"])
                .stdin(Stdio::null())
                .status();
            asked.expect("kubectl can be started").success()
        };
        for (what, verbs) in ALLOWED {
            for verb in ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"] {
                assert_eq!(may(verb, what), verbs.contains(&verb), "{verb} {what}");
            }
        }
        for (verb, what) in [
            ("create", "pods/exec"),
            ("create", "deployments.apps"),
            ("impersonate", "users"),
            ("get", "nodes"),
        ] {
            assert!(!may(verb, what), "{verb} {what}");
        }
    }

    const ALLOWED: [(&str, &[&str]); 5] = [
        ("pods", &["get", "list", "watch", "create", "delete"]),
        ("pods/log", &["get"]),
        ("secrets", &["create", "delete"]),
        ("events", &["list"]),
        ("configmaps", &[]),
    ];
}
