-- description: Versions whose time is not after that of every version before.
-- grain: one row per problem (object, message); none on a healthy lake
-- source: stg_manifests
with versions as (
    select version, min(committed_at) as first_at, max(committed_at) as last_at
    from stg_manifests
    group by version
),

compared as (
    select
        version,
        first_at,
        lag(version) over (order by version) as before,
        max(last_at) over (order by version rows between unbounded preceding and 1 preceding) as before_at
    from versions
)

select
    'version ' || version as object,
    'committed_at ' || first_at || ' is not after ' || before_at || ', reached by version ' || before as message
from compared
where first_at <= before_at
