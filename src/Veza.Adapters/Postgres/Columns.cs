using Npgsql;
using NpgsqlTypes;

namespace Veza.Adapters.Postgres;

/// <summary>Rows turned into the columns that <c>unnest</c> takes: one array each, one statement for all.</summary>
sealed class Columns<TRow>(NpgsqlBatchCommand command, IReadOnlyList<TRow> rows)
{
    public Columns<TRow> Uuid(Func<TRow, Guid> read) => Add(NpgsqlDbType.Uuid, read);

    public Columns<TRow> OptionalUuid(Func<TRow, Guid?> read) => Add(NpgsqlDbType.Uuid, read);

    public Columns<TRow> Text(Func<TRow, string?> read) => Add(NpgsqlDbType.Text, read);

    public Columns<TRow> Bytes(Func<TRow, byte[]?> read) => Add(NpgsqlDbType.Bytea, read);

    public Columns<TRow> Integer(Func<TRow, int> read) => Add(NpgsqlDbType.Integer, read);

    public Columns<TRow> Flag(Func<TRow, bool> read) => Add(NpgsqlDbType.Boolean, read);

    public Columns<TRow> Bigint(Func<TRow, long> read) => Add(NpgsqlDbType.Bigint, read);

    public Columns<TRow> OptionalBigint(Func<TRow, long?> read) => Add(NpgsqlDbType.Bigint, read);

    public Columns<TRow> Time(Func<TRow, DateTimeOffset?> read) => Add(NpgsqlDbType.TimestampTz, read);

    Columns<TRow> Add<T>(NpgsqlDbType type, Func<TRow, T> read)
    {
        var values = new T[rows.Count];
        for (var row = 0; row < values.Length; row++)
        {
            values[row] = read(rows[row]);
        }

        command.Parameters.Add(
            new NpgsqlParameter<T[]> { TypedValue = values, NpgsqlDbType = NpgsqlDbType.Array | type }
        );
        return this;
    }
}
