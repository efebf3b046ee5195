-- description: The entries that were heads in their run of the read model and are none any more, with the version that
--   superseded each: a row of a later run names the head that it replaces, and the journal has gone on since.
-- grain: one row per (version, ordinal), a put
-- source: entries_model, manifests_since
select replaces_version as version, replaces_ordinal as ordinal, version as superseded_at
from entries_model
where replaces_version is not null

union all

select held.version, held.ordinal, changed.superseded_at
from entries_model as held
inner join (
    select folio, item, min(version) as superseded_at
    from manifests_since
    where op in ('put', 'delete')
    group by folio, item
) as changed on held.folio = changed.folio and held.item = changed.item
where
    held.superseded_at is null
    and not held.removed
    and (held.version, held.ordinal) not in (
        select (replaces_version, replaces_ordinal) from entries_model where replaces_version is not null
    )
