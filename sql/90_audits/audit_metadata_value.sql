-- description: Metadata values that are not JSON.
-- grain: one row per problem (object, message); none on a healthy lake
-- source: stg_metadata
select
    subject_kind || ' ' || coalesce(folio || ':' || item, nullif(subject_id, ''), 'itself') || ', key ' || key as object,
    'value set at version ' || version || ' is not JSON' as message
from stg_metadata
where value is not null and not json_valid(value)
