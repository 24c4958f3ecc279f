namespace Veza.Host.AdminConsole;

/// <summary>Why an operator does something, as the history keeps it.</summary>
static class OperatorNote
{
    const int Longest = 1000;

    /// <summary>Null if it is empty, too long, or holds what no text can.</summary>
    public static string? Read(string? text) =>
        text?.Trim() is { Length: > 0 and <= Longest } note && note.All(CanBeRead) ? note : null;

    static bool CanBeRead(char letter) => !char.IsControl(letter) || letter is '\n' or '\r' or '\t';
}
