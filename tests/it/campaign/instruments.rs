//! Instruments in the database of a campaign: triggers write down whose each lease is, every move of the queue and of
//! the locks, and every fact of a run that was written by a process that did not hold it, at the moment it happens.
//! Muster knows nothing of them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::{PgPool, Row};

const INSTALL: &str = "
    alter table replicas add column who text default current_setting('campaign.who', true);
    create table leases (
        replica bigint primary key, who text not null,
        started_at timestamptz not null default clock_timestamp());
    create table queue_moves (
        id bigint generated always as identity primary key,
        at timestamptz not null default clock_timestamp(),
        run_id bigint not null, fence bigint not null, state smallint, owner bigint,
        xid xid8 not null default pg_current_xact_id());
    create index on queue_moves (run_id, id);
    create table lock_moves (
        id bigint generated always as identity primary key,
        at timestamptz not null default clock_timestamp(),
        name text not null, run_id bigint not null, taken boolean not null);
    create function note_lease() returns trigger language plpgsql as $$
    begin
        insert into leases (replica, who) values (new.id, coalesce(new.who, ''));
        return null;
    end $$;
    create table stray_writes (run_id bigint not null, kind text not null, writer text, holder text);
    create function note_stray_write() returns trigger language plpgsql as $$
    declare
        writer text := nullif(current_setting('campaign.who', true), '');
        -- Before this transaction: a worker lets go in the statement that writes its last facts.
        holder text := (select l.who from (select owner from queue_moves
                                           where run_id = new.run_id and xid <> pg_current_xact_id()
                                           order by id desc limit 1) m
                        join leases l on l.replica = m.owner);
    begin
        if writer is distinct from holder then
            insert into stray_writes values (new.run_id, new.kind, writer, holder);
        end if;
        return null;
    end $$;
    create function note_queue_move() returns trigger language plpgsql as $$
    begin
        if tg_op = 'DELETE' then
            insert into queue_moves (run_id, fence) values (old.run_id, old.fence);
        else
            insert into queue_moves (run_id, fence, state, owner)
            values (new.run_id, new.fence, new.state, new.owner);
        end if;
        return null;
    end $$;
    create function note_lock_move() returns trigger language plpgsql as $$
    begin
        if tg_op = 'DELETE' then
            insert into lock_moves (name, run_id, taken) values (old.name, old.run_id, false);
        else
            insert into lock_moves (name, run_id, taken) values (new.name, new.run_id, true);
        end if;
        return null;
    end $$;
    -- As on a busy disk: some attempts are long on the way to being started, and may be stopped there.
    create function sleep_in_commit() returns trigger language plpgsql as $$
    begin
        if random() < 0.1 then perform pg_sleep(random() * 0.8); end if;
        return null;
    end $$;
    create constraint trigger sleep_in_commit after insert on events deferrable initially deferred for each row
        when (new.kind = 'step_started') execute function sleep_in_commit();
    create trigger leases after insert on replicas for each row execute function note_lease();
    create trigger stray_writes after insert on events for each row
        when (new.run_id is not null and new.kind <> 'run_started'
              and new.actor ->> 'by' = 'automation')
        execute function note_stray_write();
    create trigger queue_moves after insert or update or delete on run_queue
        for each row execute function note_queue_move();
    create trigger lock_moves after insert or delete on target_locks
        for each row execute function note_lock_move();
    create index events_started on events ((body ->> 'key'), (body ->> 'fence')) where kind = 'step_started';";

/// Installs them.
pub async fn install(pool: &PgPool) {
    sqlx::raw_sql(INSTALL).execute(pool).await.unwrap();
}

/// Where a run in the queue went.
#[derive(Clone, Copy, Debug)]
pub struct QueueMove {
    pub at: DateTime<Utc>,
    pub fence: i64,
    /// 0 ready, 1 worked on, 2 waiting; none when it left the queue.
    pub state: Option<i16>,
    pub owner: Option<i64>,
}

impl QueueMove {
    pub fn is_claim(&self) -> bool {
        self.state == Some(1)
    }
}

/// Every move of every run, in order.
pub async fn queue_moves(pool: &PgPool) -> BTreeMap<i64, Vec<QueueMove>> {
    let rows = sqlx::query("select run_id, at, fence, state, owner from queue_moves order by run_id, id")
        .fetch_all(pool)
        .await
        .unwrap();
    let mut moves: BTreeMap<i64, Vec<QueueMove>> = BTreeMap::new();
    for row in rows {
        moves.entry(row.get("run_id")).or_default().push(QueueMove {
            at: row.get("at"),
            fence: row.get("fence"),
            state: row.get("state"),
            owner: row.get("owner"),
        });
    }
    moves
}

/// A lock in the hands of a run.
#[derive(Clone, Copy, Debug)]
pub struct Holding {
    pub run: i64,
    pub taken: DateTime<Utc>,
    pub freed: Option<DateTime<Utc>>,
}

/// Who held each lock, in order of taking.
pub async fn lock_holdings(pool: &PgPool) -> BTreeMap<String, Vec<Holding>> {
    let rows = sqlx::query("select name, run_id, at, taken from lock_moves order by name, id")
        .fetch_all(pool)
        .await
        .unwrap();
    let mut holdings: BTreeMap<String, Vec<Holding>> = BTreeMap::new();
    for row in rows {
        let of_lock = holdings.entry(row.get("name")).or_default();
        let (run, at) = (row.get("run_id"), row.get("at"));
        match row.get("taken") {
            true => of_lock.push(Holding {
                run,
                taken: at,
                freed: None,
            }),
            false => {
                let mut held = of_lock.iter_mut().rev();
                if let Some(holding) = held.find(|holding| holding.run == run) {
                    holding.freed = Some(at);
                }
            }
        }
    }
    holdings
}

/// A lease as it was given: which start of which process got it, and when.
#[derive(Clone, Debug)]
pub struct Lease {
    pub replica: i64,
    pub who: String,
    pub started_at: DateTime<Utc>,
}

/// Every lease ever given.
pub async fn leases(pool: &PgPool) -> Vec<Lease> {
    sqlx::query("select replica, who, started_at from leases order by replica")
        .fetch_all(pool)
        .await
        .unwrap()
        .into_iter()
        .map(|row| Lease {
            replica: row.get("replica"),
            who: row.get("who"),
            started_at: row.get("started_at"),
        })
        .collect()
}
