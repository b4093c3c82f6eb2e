//! Balances: what is asked, spent, given back and released.

use super::*;

const LIMITED: Limited = Limited { total: true, channels: 0b10, daily: false, daily_messages: true, per_minute: false };

fn place(channel: usize, day: i32, cost: i64) -> Place {
    Place { channel, day, minute: 0, cost }
}

fn fit(balances: &Balances, channel: usize, day: i32, cost: i64) -> Fit {
    balances.fit_money(LIMITED, &place(channel, day, cost), None)
}

fn granted(bucket: Bucket, amount: i64, last: bool, excess: i64) -> impl Iterator<Item = (Bucket, i64, bool, i64)> {
    std::iter::once((bucket, amount, last, excess))
}

#[test]
fn an_empty_bucket_asks_until_the_ledger_said_its_last_word() {
    let mut balances = Balances::default();
    assert_eq!(fit(&balances, 0, 5, 10), Fit::Ask);
    balances.grant(granted(Bucket::Total, 15, true, 0));
    assert_eq!(fit(&balances, 0, 5, 10), Fit::Yes);
    assert_eq!(fit(&balances, 1, 5, 10), Fit::Ask);
    balances.grant(granted(Bucket::DayMessages(5), 1, true, 0));
    balances.commit(LIMITED, &place(0, 5, 10));
    assert_eq!(fit(&balances, 0, 5, 10), Fit::No);
    assert_eq!(fit(&balances, 0, 5, 5), Fit::Yes);
    assert_eq!(balances.fit_message(LIMITED, 5, None), Fit::No);
    assert_eq!(balances.fit_message(LIMITED, 6, None), Fit::Ask);
}

#[test]
fn what_is_given_back_is_spent_again_where_the_last_word_stands() {
    let mut balances = Balances::default();
    balances.grant(granted(Bucket::Total, 10, true, 0));
    balances.grant(granted(Bucket::DayMessages(1), 1, false, 0));
    balances.commit(LIMITED, &place(0, 1, 10));
    assert_eq!(fit(&balances, 0, 1, 10), Fit::No);
    balances.give_back(LIMITED, &place(0, 1, 10));
    assert_eq!(fit(&balances, 0, 1, 10), Fit::Yes);
    assert_eq!(balances.fit_message(LIMITED, 1, None), Fit::Ask);
    assert!(balances.release(true).iter().all(|(_, spent)| *spent == 0));
    assert_eq!(balances.total, Balance::default());
}

#[test]
fn what_is_given_back_to_an_overdrawn_budget_makes_up_for_the_excess_first() {
    let mut balances = Balances::default();
    balances.grant(granted(Bucket::Total, 10, false, 0));
    balances.commit(LIMITED, &place(0, 1, 6));
    balances.commit(LIMITED, &place(0, 1, 4));
    balances.release(true);
    balances.grant(granted(Bucket::Total, 0, true, 7));
    let back = place(0, 1, 6);
    assert_eq!(balances.fit_money(LIMITED, &place(0, 1, 1), Some(&back)), Fit::No);
    balances.give_back(LIMITED, &back);
    assert_eq!(balances.total, Balance { spent: 4, held: 0, last: true, excess: 1 });
    assert_eq!(balances.fit_money(LIMITED, &place(0, 1, 3), Some(&place(0, 1, 4))), Fit::Yes);
    balances.give_back(LIMITED, &place(0, 1, 4));
    assert_eq!(balances.total, Balance { spent: 0, held: 3, last: true, excess: 0 });
}

#[test]
fn a_release_gives_back_all_that_is_held_and_every_last_word_and_keeps_what_was_spent() {
    let limited = Limited { total: true, channels: 1, daily: true, daily_messages: true, per_minute: false };
    let buckets = [Bucket::Total, Bucket::Channel(0), Bucket::DayMoney(5), Bucket::DayMessages(5)];
    let mut balances = Balances::default();
    for bucket in buckets {
        balances.grant(granted(bucket, 20, true, 0));
    }
    balances.commit(limited, &place(0, 5, 10));
    for _ in 0..2 {
        let spent: BTreeMap<_, _> = balances.release(true).into_iter().collect();
        assert_eq!(buckets.map(|bucket| spent[&bucket]), [10, 10, 10, 1]);
    }
    let day = balances.days[&5];
    for balance in [balances.total, balances.channels[0], day.money, day.messages] {
        assert_eq!((balance.held, balance.last), (0, false));
    }
    assert_eq!(balances.fit_money(limited, &place(0, 5, 10), None), Fit::Ask);
    assert_eq!(balances.fit_message(limited, 5, None), Fit::Ask);
}

#[test]
fn what_has_no_limit_is_counted_and_owes_nothing_once_it_has_one() {
    let mut balances = Balances::default();
    balances.commit(Limited::default(), &place(0, 5, 10));
    balances.grant(granted(Bucket::Total, 10, true, 0));
    assert_eq!(balances.total, Balance { spent: 10, held: 10, last: true, excess: 0 });
}
