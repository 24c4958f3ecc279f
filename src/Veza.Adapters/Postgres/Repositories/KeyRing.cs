using System.Xml.Linq;
using Microsoft.AspNetCore.DataProtection.Repositories;
using Npgsql;

namespace Veza.Adapters.Postgres.Repositories;

/// <summary>
/// ASP.NET's data protection keys in the database, so that every host can read the cookies and forms of every other one,
/// and of itself before a restart.
/// </summary>
public sealed class KeyRing(NpgsqlDataSource database) : IXmlRepository
{
    public IReadOnlyCollection<XElement> GetAllElements()
    {
        using var command = database.CreateCommand(
            "select xml from data_protection_keys order by created_at"
        );
        using var reader = command.ExecuteReader();
        var elements = new List<XElement>();
        while (reader.Read())
        {
            elements.Add(XElement.Parse(reader.GetString(0)));
        }

        return elements;
    }

    /// <summary>
    /// Hosts that start together on a new database each make a first key. Only one is kept, and all of them use it, since
    /// the keys are read again after one has been made; otherwise each would refuse the other's cookies for a day.
    /// </summary>
    public void StoreElement(XElement element, string friendlyName)
    {
        using var connection = database.OpenConnection();
        using var transaction = connection.BeginTransaction();
        using var command = new NpgsqlCommand(
            "lock table data_protection_keys in exclusive mode",
            connection,
            transaction
        );
        command.ExecuteNonQuery();
        command.CommandText = """
            insert into data_protection_keys (name, xml, created_at) select $1, $2, now()
            where not exists (select from data_protection_keys where created_at > now() - interval '1 minute')
            """;
        command.Parameters.AddWithValue(friendlyName);
        command.Parameters.AddWithValue(element.ToString(SaveOptions.DisableFormatting));
        command.ExecuteNonQuery();
        transaction.Commit();
    }
}
