using System.Text.Json;
using Veza.Domain;

namespace Veza.Host.Api;

/// <summary>
/// Reads the fields of a JSON object and collects everything that is wrong with them, so that a caller hears of
/// all faults at once. Fields nobody asked for are faults too.
/// </summary>
sealed class Fields
{
    readonly JsonElement element;
    readonly string path;
    readonly List<FieldError> errors;
    readonly HashSet<string> asked = [];

    public Fields(JsonElement element)
        : this(element, "", []) { }

    Fields(JsonElement element, string path, List<FieldError> errors)
    {
        this.element = element;
        this.path = path;
        this.errors = errors;
    }

    public List<FieldError> Errors => errors;

    public void Fault(string field, string code, string detail) =>
        errors.Add(new(path + field, code, detail));

    /// <summary>Empty if it is missing or faulty.</summary>
    public string Text(string name, int most = 255)
    {
        if (Find(name) is not { } value)
        {
            Fault(name, "required", $"{name} is required.");
            return "";
        }

        return TextOf(name, value, most) ?? "";
    }

    public string? OptionalText(string name, int most = 255) =>
        Find(name) is { } value ? TextOf(name, value, most) : null;

    public long Integer(string name, long least, long most)
    {
        if (Find(name) is { } value)
        {
            return IntegerOf(name, value, least, most) ?? 0;
        }

        Fault(name, "required", $"{name} is required.");
        return 0;
    }

    public long? OptionalInteger(string name, long least, long most) =>
        Find(name) is { } value ? IntegerOf(name, value, least, most) : null;

    public bool? OptionalFlag(string name)
    {
        if (Find(name) is not { } value)
        {
            return null;
        }

        if (value.ValueKind is JsonValueKind.True or JsonValueKind.False)
        {
            return value.GetBoolean();
        }

        Fault(name, "not_a_flag", $"{name} must be true or false.");
        return null;
    }

    public DateTimeOffset? OptionalTime(string name)
    {
        if (Find(name) is not { } value)
        {
            return null;
        }

        if (value.ValueKind == JsonValueKind.String && value.TryGetDateTimeOffset(out var time))
        {
            return time.ToUniversalTime();
        }

        Fault(name, "not_a_time", $"{name} must be an RFC 3339 time.");
        return null;
    }

    public Currency? Currency(string name)
    {
        var text = Text(name, 3);
        return text.Length == 0
            ? null
            : CurrencyModule
                .parse(text)
                .Match(
                    ok: Currency? (currency) => currency,
                    error: why =>
                    {
                        Fault(name, "unknown_currency", why);
                        return null;
                    }
                );
    }

    public IReadOnlyList<Guid>? OptionalIds(string name, int most) =>
        OptionalList(
            name,
            most,
            "ids",
            (place, item) =>
            {
                if (item.ValueKind == JsonValueKind.String && item.TryGetGuid(out var id))
                {
                    return id;
                }

                Fault(place, "not_an_id", "must be an id (UUID).");
                return Guid.Empty;
            }
        );

    public IReadOnlyList<string>? OptionalTexts(string name, int most) =>
        OptionalList(name, most, "strings", (place, item) => TextOf(place, item, 255) ?? "");

    IReadOnlyList<T>? OptionalList<T>(string name, int most, string what, Func<string, JsonElement, T> read)
    {
        if (Find(name) is not { } value)
        {
            return null;
        }

        if (
            value.ValueKind != JsonValueKind.Array
            || value.GetArrayLength() is 0
            || value.GetArrayLength() > most
        )
        {
            Fault(name, "not_a_list", $"{name} must be a list of 1 to {most} {what}.");
            return [];
        }

        return [.. value.EnumerateArray().Select((item, place) => read($"{name}[{place}]", item))];
    }

    public Guid Id(string name)
    {
        if (Find(name) is not { } value)
        {
            Fault(name, "required", $"{name} is required.");
            return Guid.Empty;
        }

        if (value.ValueKind == JsonValueKind.String && value.TryGetGuid(out var id))
        {
            return id;
        }

        Fault(name, "not_an_id", $"{name} must be an id (UUID).");
        return Guid.Empty;
    }

    public IReadOnlyList<Fields> Items(string name, int most)
    {
        if (Find(name) is not { } value)
        {
            Fault(name, "required", $"{name} is required.");
            return [];
        }

        if (value.ValueKind != JsonValueKind.Array || value.GetArrayLength() > most)
        {
            Fault(name, "not_a_list", $"{name} must be a list of at most {most} objects.");
            return [];
        }

        return
        [
            .. value
                .EnumerateArray()
                .Select((item, place) => new Fields(item, $"{path}{name}[{place}].", errors)),
        ];
    }

    /// <summary>Null if it is missing or none of the words.</summary>
    public string? OneOf(string name, IReadOnlyList<string> words)
    {
        var text = Text(name);
        if (text.Length > 0 && !words.Contains(text))
        {
            Fault(name, "unknown_value", $"{name} must be one of {string.Join(", ", words)}.");
        }

        return text.Length > 0 ? text : null;
    }

    public string? OptionalOneOf(string name, IReadOnlyList<string> words) =>
        Find(name) is null ? null : OneOf(name, words);

    public Fields? Object(string name)
    {
        if (Find(name) is null)
        {
            Fault(name, "required", $"{name} is required.");
        }

        return OptionalObject(name);
    }

    public Fields? OptionalObject(string name)
    {
        if (Find(name) is not { } value)
        {
            return null;
        }

        if (value.ValueKind == JsonValueKind.Object)
        {
            return new Fields(value, $"{path}{name}.", errors);
        }

        Fault(name, "not_an_object", $"{name} must be an object.");
        return null;
    }

    /// <summary>Strings by name, as Stripe's and Hyperswitch's metadata: at most 50, names of 40, values of 500.</summary>
    public string Metadata(string name)
    {
        if (OptionalObject(name) is not { } fields)
        {
            return "{}";
        }

        foreach (var property in fields.element.EnumerateObject())
        {
            if (property.Value.ValueKind != JsonValueKind.String || property.Value.GetString()!.Length > 500)
            {
                fields.Fault(property.Name, "not_a_text", "must be a string of at most 500 characters.");
            }

            if (property.Name.Length is 0 or > 40)
            {
                fields.Fault(property.Name, "name_too_long", "must have a name of 1 to 40 characters.");
            }
        }

        if (fields.element.EnumerateObject().Count() > 50)
        {
            Fault(name, "too_many", $"{name} must not have more than 50 entries.");
        }

        return fields.element.GetRawText();
    }

    /// <summary>Call when everything known has been asked for.</summary>
    public void RefuseOthers()
    {
        if (element.ValueKind != JsonValueKind.Object)
        {
            errors.Add(new(path.TrimEnd('.'), "not_an_object", "must be a JSON object."));
            return;
        }

        foreach (var property in element.EnumerateObject())
        {
            if (!asked.Contains(property.Name))
            {
                Fault(property.Name, "unknown_field", $"there is no field '{property.Name}' here.");
            }
        }
    }

    JsonElement? Find(string name)
    {
        asked.Add(name);
        return
            element.ValueKind == JsonValueKind.Object
            && element.TryGetProperty(name, out var value)
            && value.ValueKind != JsonValueKind.Null
            ? value
            : null;
    }

    string? TextOf(string name, JsonElement value, int most)
    {
        if (value.ValueKind != JsonValueKind.String)
        {
            Fault(name, "not_a_text", $"{name} must be a string.");
            return null;
        }

        var text = value.GetString()!;
        if (string.IsNullOrWhiteSpace(text))
        {
            Fault(name, "blank", $"{name} must not be blank.");
            return null;
        }

        if (text.Length > most)
        {
            Fault(name, "too_long", $"{name} must not be longer than {most} characters.");
            return null;
        }

        if (text.Contains('\0', StringComparison.Ordinal))
        {
            Fault(name, "not_a_text", $"{name} must not contain the character U+0000.");
            return null;
        }

        return text;
    }

    long? IntegerOf(string name, JsonElement value, long least, long most)
    {
        if (value.ValueKind != JsonValueKind.Number || !value.TryGetInt64(out var number))
        {
            Fault(name, "not_an_integer", $"{name} must be a whole number.");
            return null;
        }

        if (number < least || number > most)
        {
            Fault(
                name,
                number < least ? "too_small" : "too_large",
                $"{name} must be from {least} to {most}."
            );
            return null;
        }

        return number;
    }
}
