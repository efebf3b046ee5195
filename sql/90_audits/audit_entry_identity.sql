-- description: Entries that were put again with other content, inputs or facts: an entry never changes.
-- grain: one row per problem (object, message); none on a healthy lake
-- source: stg_manifests
select
    'entry ' || entry_id || ' (' || min_by(folio || ':' || item, position) || ')' as object,
    'was put with ' || count(distinct (kind, digest, blob_digest, size_bytes, uri))
    || ' different contents, expected one' as message
from stg_manifests
where op = 'put'
group by entry_id
having count(distinct (kind, digest, blob_digest, size_bytes, uri)) > 1

union all

select
    'entry ' || entry_id || ' (' || min_by(folio || ':' || item, position) || ')' as object,
    'was put again with other inputs or facts' as message
from stg_manifests
where op = 'put'
group by entry_id
having count(distinct (coalesce(inputs, []), coalesce(facts, []))) > 1
