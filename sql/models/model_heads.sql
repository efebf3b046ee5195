-- description: The live ones of these entries, found without a look at those that were superseded. One condition is
--   applied to whole vectors; two, one after the other while a file is read, would take a tenth more.
-- grain: one row per (folio, item)
-- source: entries_model, replaced_heads, manifests_since
select * exclude (superseded_at, superseded_by, removed, replaces_version, replaces_ordinal)
from entries_unreplaced
where not (superseded_at is not null or removed)

union all by name

select * exclude (superseded_at, superseded_by, removed, replaces_version, replaces_ordinal)
from entries_replaced as held
anti join replaced_heads on held.version = replaced_heads.version and held.ordinal = replaced_heads.ordinal
where not (superseded_at is not null or removed)

union all by name

select * exclude (op, content, snapshot, target_version)
from manifests_since
where
    op = 'put'
    and (version, ordinal) in (
        select max((version, ordinal)) from manifests_since where op in ('put', 'delete') group by folio, item
    )
