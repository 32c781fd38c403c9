//! A leader that has lost its way to the RDS or to the API, and no other replica has.

use rds_csi::workload::way::Condition;
use testbed::bed::Bed;
use testbed::trouble::Trouble;
use testbed::workload::LONG;

use crate::crowd::Crowd;
use crate::failover::{Failover, Fate};

pub(crate) async fn a_leader_cut_off_from_the_rds_hands_over_and_attaches_go_on(
    bed: &Bed,
) -> Result<(), Trouble> {
    let fates = [Condition::Cut, Condition::Hung].map(Fate::WithoutRds);
    one_after_the_other(bed, fates).await
}

pub(crate) async fn a_leader_cut_off_from_the_api_is_replaced_and_attaches_go_on(
    bed: &Bed,
) -> Result<(), Trouble> {
    let fates = [Condition::Cut, Condition::Hung].map(Fate::WithoutApi);
    one_after_the_other(bed, fates).await
}

async fn one_after_the_other(bed: &Bed, fates: [Fate; 2]) -> Result<(), Trouble> {
    for (number, fate) in fates.into_iter().enumerate() {
        let before = Crowd::of(bed, &format!("before-{number}"), 3).await?;
        let during = Crowd::of(bed, &format!("during-{number}"), 3).await?;
        before.come().await?;
        before.settled(LONG).await?;
        let leave = async {
            during.come().await?;
            before.go().await
        };
        let strike = Box::pin(Failover::run(bed, fate, None));
        let (failover, ()) = tokio::try_join!(strike, leave)?;
        assert_ne!(failover.new_leader().uid(), failover.old().uid());
        // Others than the old leader do the work, whose way is still cut.
        during.settled(LONG).await?;
        failover.heal(bed).await?;
        during.go().await?;
    }
    Ok(())
}
