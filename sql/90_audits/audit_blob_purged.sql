-- description: Live items whose stored object was purged by gc.
-- grain: one row per problem (object, message); none on a healthy lake
-- source: blob_refs
select
    coalesce(folio || ':' || item || '@' || version, 'event ' || entry_id) as object,
    'needs blob ' || blob_digest || ', generation ' || generation || ', which was purged' as message
from blob_refs
where is_live and purged
