using Microsoft.FSharp.Core;
using Npgsql;
using NpgsqlTypes;
using Veza.Domain;

namespace Veza.Adapters.Postgres;

/// <summary>What is read out of PostgreSQL, and the parameters that go in.</summary>
static class Reading
{
    public static string? TextOrNull(this NpgsqlDataReader reader, int column) =>
        reader.IsDBNull(column) ? null : reader.GetString(column);

    public static Guid? GuidOrNull(this NpgsqlDataReader reader, int column) =>
        reader.IsDBNull(column) ? null : reader.GetGuid(column);

    public static DateTimeOffset Time(this NpgsqlDataReader reader, int column) =>
        reader.GetFieldValue<DateTimeOffset>(column);

    public static DateTimeOffset? TimeOrNull(this NpgsqlDataReader reader, int column) =>
        reader.IsDBNull(column) ? null : reader.GetFieldValue<DateTimeOffset>(column);

    /// <summary>Every row of this result.</summary>
    public static async Task<List<T>> All<T>(
        this NpgsqlDataReader reader,
        Func<NpgsqlDataReader, T> read,
        CancellationToken cancellation
    )
    {
        var rows = new List<T>();
        while (await reader.ReadAsync(cancellation))
        {
            rows.Add(read(reader));
        }

        return rows;
    }

    /// <summary>The next result of the batch, by the id in its first column.</summary>
    public static async Task<Dictionary<Guid, List<T>>> Group<T>(
        this NpgsqlDataReader reader,
        Func<NpgsqlDataReader, T> read,
        CancellationToken cancellation
    )
    {
        await reader.NextResultAsync(cancellation);
        var groups = new Dictionary<Guid, List<T>>();
        while (await reader.ReadAsync(cancellation))
        {
            var id = reader.GetGuid(0);
            if (!groups.TryGetValue(id, out var group))
            {
                groups.Add(id, group = []);
            }

            group.Add(read(reader));
        }

        return groups;
    }

    /// <summary>
    /// Rows of a key and its JSON. One row more than <paramref name="limit"/> was asked for, and tells whether there are
    /// more.
    /// </summary>
    public static async Task<(IReadOnlyList<string> Items, bool HasMore, TKey? Last)> Page<TKey>(
        this NpgsqlDataReader reader,
        int limit,
        CancellationToken cancellation
    )
        where TKey : struct
    {
        var rows = await reader.All(
            row => (Key: row.GetFieldValue<TKey>(0), Json: row.GetString(1)),
            cancellation
        );
        var page = rows.Take(limit).ToList();
        return ([.. page.Select(row => row.Json)], rows.Count > limit, page.Count > 0 ? page[^1].Key : null);
    }

    /// <summary>A row that the domain cannot have written is damage, and nothing may be decided on it.</summary>
    public static Versioned<T> Stored<T>(this FSharpResult<T, string> read, int version)
        where T : class =>
        read.Match(
            ok: value => new Versioned<T>(value, version),
            error: why => throw new InvalidDataException(why)
        );

    public static NpgsqlParameter<Guid[]> Uuids(IEnumerable<Guid> ids) => new() { TypedValue = [.. ids] };

    public static NpgsqlParameter<string?[]> Texts(IEnumerable<string?> texts) =>
        new() { TypedValue = [.. texts] };

    public static NpgsqlParameter<DateTimeOffset> At(DateTimeOffset time) => new() { TypedValue = time };

    public static NpgsqlParameter At(DateTimeOffset? time) => OrNull(time, NpgsqlDbType.TimestampTz);

    public static NpgsqlParameter Uuid(Guid? id) => OrNull(id, NpgsqlDbType.Uuid);

    public static NpgsqlParameter Text(string? text) => OrNull(text, NpgsqlDbType.Text);

    public static NpgsqlParameter Bigint(long? number) => OrNull(number, NpgsqlDbType.Bigint);

    public static NpgsqlParameter Integer(int? number) => OrNull(number, NpgsqlDbType.Integer);

    public static NpgsqlParameter Flag(bool? flag) => OrNull(flag, NpgsqlDbType.Boolean);

    public static NpgsqlParameter TextsOrNull(IEnumerable<string>? texts) =>
        OrNull(texts?.ToArray(), NpgsqlDbType.Array | NpgsqlDbType.Text);

    static NpgsqlParameter OrNull(object? value, NpgsqlDbType type) =>
        new() { Value = value ?? DBNull.Value, NpgsqlDbType = type };
}
