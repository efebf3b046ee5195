-- description: The entries as the read model and the journal since have them, with the version that superseded each.
-- grain: one row per (version, ordinal), a put
-- source: entries_model, replaced_heads, manifests_since
select
    held.* exclude (superseded_at, superseded_by, removed, replaces_version, replaces_ordinal),
    coalesce(held.superseded_at, replaced_heads.superseded_at) as superseded_version
from entries_model as held
left join replaced_heads on held.version = replaced_heads.version and held.ordinal = replaced_heads.ordinal
where not held.removed

union all by name

select * exclude (op, content, snapshot, target_version, next_version), next_version as superseded_version
from (
    select *, lead(version) over (partition by folio, item order by version, ordinal) as next_version
    from manifests_since
    where op in ('put', 'delete') and folio is not null and item is not null
)
where op = 'put'
