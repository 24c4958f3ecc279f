using System.Collections.Concurrent;
using Polly.CircuitBreaker;

namespace Veza.Adapters.Http;

/// <summary>Whether a provider is being left alone because its last calls have failed.</summary>
public sealed class CircuitStates
{
    readonly ConcurrentDictionary<string, CircuitBreakerStateProvider> states = [];

    internal CircuitBreakerStateProvider Watch(string provider) =>
        states[provider] = new CircuitBreakerStateProvider();

    public IReadOnlyList<(string Provider, bool IsOpen)> All() =>
        [
            .. states.Select(state =>
                (state.Key, state.Value.CircuitState is CircuitState.Open or CircuitState.Isolated)
            ),
        ];
}
