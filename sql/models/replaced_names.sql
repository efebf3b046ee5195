-- description: The names of which an entry may have been the head in its run of the read model and be none any more.
-- grain: one row per (folio, item)
-- source: entries_model, manifests_since
select folio, item
from entries_model
where replaces_version is not null

union

select folio, item
from manifests_since
where op in ('put', 'delete') and folio is not null and item is not null
