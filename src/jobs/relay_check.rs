//! The job of the prompt's start: whether the relay is there, and its nodes.

use crate::jobs::job::{JobContext, JobStep};
use crate::jobs::query::Query;
use crate::jobs::relay_query::RelayAnswer;
use crate::jobs::task_result::TaskResult;
use crate::jobs::user::{Failure, UserEvent};

/// Asks for the nodes, and remembers them.
pub(super) struct RelayCheck;

impl RelayCheck {
    pub(super) fn on_response(&self, context: &mut JobContext, answer: RelayAnswer) -> JobStep {
        if let RelayAnswer::Nodes(nodes) = answer {
            context.set_nodes(nodes);
        }
        TaskResult::Success.into()
    }

    pub(super) fn on_failure(
        &self,
        context: &mut JobContext,
        query: &Query,
        failure: &Failure<'_>,
    ) -> JobStep {
        let event = UserEvent::RelayFailed(query, failure);
        context.user.on_event(event);
        TaskResult::Relay.into()
    }
}
