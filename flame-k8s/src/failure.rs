//! What an answer of the API server means for a boot.

use crate::{api::ApiError, error::Cause};

/// What to do about a call that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It cannot succeed.
    Fatal(Cause),
    /// It may succeed later.
    Retry(Cause),
    /// There is something of that name.
    Exists,
}

/// Judges the failure of a create.
pub(crate) fn judge(error: &ApiError) -> Verdict {
    let status = match error {
        ApiError::Kube(kube::Error::Api(status)) => status,
        // Resets, refused connections, a body that was cut off: the server may have done it or not.
        other => return Verdict::Retry(Cause::Api { message: other.to_string() }),
    };
    let message = if status.message.is_empty() {
        format!("{} {}", status.code, status.reason)
    } else {
        status.message.clone()
    };
    let says = |words: &str| status.message.contains(words);
    match status.code {
        403 if says("exceeded quota") => Verdict::Retry(Cause::Quota { message }),
        403 if says("violates PodSecurity") || says("admission webhook") || says("denied the request") => {
            Verdict::Fatal(Cause::Rejected { message })
        }
        401 | 403 => Verdict::Fatal(Cause::Forbidden { message }),
        409 if status.reason == "AlreadyExists" || says("already exists") => Verdict::Exists,
        // Somebody else used the same quota at the same time.
        409 => Verdict::Retry(Cause::Quota { message }),
        408 | 429 | 500.. => Verdict::Retry(Cause::Api { message }),
        _ => Verdict::Fatal(Cause::Rejected { message }),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn judged(code: u16, reason: &str, message: &str) -> Verdict {
        let status = Status::failure(message, reason).with_code(code);
        judge(&ApiError::Kube(kube::Error::Api(Box::new(status))))
    }

    #[test]
    fn what_cannot_succeed_fails_at_once() {
        for (code, reason, message) in [
            (403, "Forbidden", "pods is forbidden: User \"x\" cannot create resource \"pods\""),
            (401, "Unauthorized", "Unauthorized"),
        ] {
            assert!(
                matches!(judged(code, reason, message), Verdict::Fatal(Cause::Forbidden { .. })),
                "{message}"
            );
        }
        for (code, reason, message) in [
            (403, "Forbidden", "pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\""),
            (403, "Forbidden", "admission webhook \"x\" denied the request: no"),
            (400, "BadRequest", "admission webhook \"x\" denied the request: no"),
            (422, "Invalid", "Pod \"x\" is invalid: spec.containers[0].image: Required value"),
            (404, "NotFound", "namespaces \"x\" not found"),
        ] {
            assert!(
                matches!(judged(code, reason, message), Verdict::Fatal(Cause::Rejected { .. })),
                "{message}"
            );
        }
    }

    #[test]
    fn what_may_succeed_later_is_tried_again() {
        for (code, reason, message) in [
            (403, "Forbidden", "pods \"x\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=5"),
            (
                409,
                "Conflict",
                "Operation cannot be fulfilled on resourcequotas \"q\": the object has been modified",
            ),
        ] {
            assert!(
                matches!(judged(code, reason, message), Verdict::Retry(Cause::Quota { .. })),
                "{message}"
            );
        }
        for (code, reason, message) in [
            (429, "TooManyRequests", "slow down"),
            (500, "InternalError", "resource quota evaluation timed out"),
            (503, "ServiceUnavailable", ""),
            (504, "Timeout", "request did not complete"),
        ] {
            assert!(matches!(judged(code, reason, message), Verdict::Retry(Cause::Api { .. })), "{message}");
        }
        assert!(matches!(judge(&ApiError::Timeout), Verdict::Retry(Cause::Api { .. })));
        assert_eq!(judged(409, "AlreadyExists", "pods \"x\" already exists"), Verdict::Exists);
    }
}
